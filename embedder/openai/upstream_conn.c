/* The connection of a call to the model server: where it may lead, when it is given up, and what its failures mean.
 *
 * A server may think for as long as UPSTREAM_IDLE_TIMEOUT says, but its kernel answers at once. One that has confirmed nothing for
 * 10 s is not there any more, and neither is its connection: a call that was sent into it would wait in vain for 20 s, an
 * embedding for 60. In silence it is asked every 5 s. */
#include <curl/curl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "embedder/openai/upstream.h"

#define CONNECT_MS 2000L
#define KEPT_S 55L
#define ASK_S 5
#define ASK_AGAIN_S 1
#define GONE_MS 10000

static int
on_made(void *arg, curl_socket_t fd, curlsocktype purpose)
{
    static const struct {
        int level, option, value;
    } set[] = {
        { SOL_SOCKET, SO_KEEPALIVE, 1 },
        { IPPROTO_TCP, TCP_KEEPIDLE, ASK_S },
        { IPPROTO_TCP, TCP_KEEPINTVL, ASK_AGAIN_S },
        { IPPROTO_TCP, TCP_USER_TIMEOUT, GONE_MS },
    };

    (void)arg;
    (void)purpose;
    /* best effort: a kernel without one of them goes on without it */
    for (size_t i = 0; i < sizeof set / sizeof *set; i++)
        (void)setsockopt(fd, set[i].level, set[i].option, &set[i].value, sizeof set[i].value);
    return CURL_SOCKOPT_OK;
}

void
upstream_connection(void *easy)
{
    curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_made);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, KEPT_S);
    curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
}

void
upstream_broken(int code, struct upstream_end *end)
{
    bool tls = code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CONNECT_ERROR,
         unsent = tls || code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST;

    end->err = unsent ? ERR_UPSTREAM : ERR_UPSTREAM_LOST;
    end->text = "the model server cannot be reached";
    if (code == CURLE_COULDNT_RESOLVE_HOST) {
        end->text = "the name of the model server cannot be resolved";
    } else if (tls) {
        end->text =
            "no secure connection to the model server: its certificate is not trusted, or it speaks no TLS";
    } else if (code == CURLE_WRITE_ERROR) {
        end->err = ERR_UPSTREAM_REPLY;
        end->text = "the model server sent something unusable";
    } else if (code == CURLE_WEIRD_SERVER_REPLY || code == CURLE_UNSUPPORTED_PROTOCOL) {
        end->err = ERR_UPSTREAM_REPLY;
        end->text = "the model server does not speak HTTP";
    } else if (end->status != 0) {
        end->text = "the model server broke its reply off";
    }
}
