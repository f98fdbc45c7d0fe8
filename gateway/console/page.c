/* GET /console: the page for who runs a deployment (web/console/). The page itself is for everybody and holds nothing: its key
 * is asked for in it, and every figure comes from a route that wants an admin's. */
#include "gateway/admit/auth.h"
#include "gateway/api/api.h"
#include "gateway/api/page.h"
#include "gateway/console/console.h"
#include "gateway/gateway.h"

FILE_IN(web_console, "console.html");

bool
console_sees_all(const struct request *r)
{
    return api_is_root(r) || (str_is(str_of(r->who.tenant), "default") && !api_restricted(r));
}

void
route_console(struct request *r)
{
    struct str page = { web_console, (size_t)(web_console_end - web_console) };
    struct slot auth = { "@AUTH@", r->gw->opt->auth ? STR("on") : STR("off") };

    page_reply(r, 200, page, &auth, 1, true);
}
