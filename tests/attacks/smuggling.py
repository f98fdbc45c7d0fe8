"""A09: 80 forms of a request that a proxy in front might read otherwise. Each has the request of another one behind it, which must
never be answered; what is refused closes the connection. The forms of tests/service/gateway_edge_test.py and more of them.

# attack: A09; limit 300; short 60
"""
from concurrent.futures import ThreadPoolExecutor

from bars import Bars, pick
from suite import Suite
from wire_kit import FREE  # puts tests/service on the path

from gateway_edge_test import H, HIDDEN, SMUGGLING, answers, request  # noqa: E402

CHUNKED, LAST = b"Transfer-Encoding: chunked", b"0\r\n\r\n"
LINE10 = b"POST /api/v1/search HTTP/1.0"


def chunks(body):
    return request(H, CHUNKED, body=body + HIDDEN)


MORE = {
    "coding_in_capitals_and_length": request(H, b"TRANSFER-ENCODING: CHUNKED", b"Content-Length: 4", body=LAST + HIDDEN),
    "coding_with_tab": request(H, b"Transfer-Encoding:\tchunked", b"Content-Length: 4", body=LAST + HIDDEN),
    "coding_with_vertical_tab": request(H, b"Transfer-Encoding: \x0bchunked", b"Content-Length: 4", body=LAST + HIDDEN),
    "coding_quoted": request(H, b'Transfer-Encoding: "chunked"', body=LAST + HIDDEN),
    "coding_with_parameter": request(H, b"Transfer-Encoding: chunked;q=1", body=LAST + HIDDEN),
    "coding_with_trailing_comma": request(H, b"Transfer-Encoding: chunked,", b"Content-Length: 5", body=LAST + HIDDEN),
    "coding_twice": request(H, CHUNKED, CHUNKED, body=LAST + HIDDEN),
    "coding_chunked_chunked": request(H, b"Transfer-Encoding: chunked, chunked", body=LAST + HIDDEN),
    "coding_folded": request(H, b"Transfer-Encoding:", b" chunked", b"Content-Length: 4", body=LAST + HIDDEN),
    "coding_name_with_nul": request(H, b"Transfer\0-Encoding: chunked", b"Content-Length: 4", body=LAST + HIDDEN),
    "coding_with_underscore_and_length": request(H, b"Transfer_Encoding: chunked", b"Content-Length: 0", b"Connection: close", body=HIDDEN),
    "coding_with_space_before_colon": request(H, b"Transfer-Encoding : chunked", body=LAST + HIDDEN),
    "coding_behind_a_space": request(H, b" Transfer-Encoding: chunked", b"Content-Length: 4", body=LAST + HIDDEN),
    "length_with_leading_zeros_and_another": request(H, b"Content-Length: 000", b"Content-Length: 44", body=HIDDEN),
    "length_with_inner_space": request(H, b"Content-Length: 1 0", body=b"a" * 10 + HIDDEN),
    "length_with_dot": request(H, b"Content-Length: 5.0", body=b"aaaaa" + HIDDEN),
    "length_with_exponent": request(H, b"Content-Length: 1e1", body=b"a" * 10 + HIDDEN),
    "length_with_underscore": request(H, b"Content-Length: 1_0", body=b"a" * 10 + HIDDEN),
    "length_of_2_to_the_63": request(H, b"Content-Length: 9223372036854775808", body=HIDDEN),
    "length_of_2_to_the_64": request(H, b"Content-Length: 18446744073709551615", body=HIDDEN),
    "length_in_other_digits": request(H, "Content-Length: \u0665".encode(), body=b"aaaaa" + HIDDEN),
    "three_lengths": request(H, b"Content-Length: 0", b"Content-Length: 0", b"Content-Length: 44", body=HIDDEN),
    "length_and_coding_in_http_1_0": request(H, CHUNKED, b"Content-Length: 5", line=LINE10, body=LAST + HIDDEN),
    "chunk_of_negative_size": chunks(b"-5\r\naaaaa\r\n" + LAST),
    "chunk_with_0x": chunks(b"0x5\r\naaaaa\r\n" + LAST),
    "chunk_with_plus": chunks(b"+5\r\naaaaa\r\n" + LAST),
    "chunk_with_space": chunks(b" 5\r\naaaaa\r\n" + LAST),
    "chunk_of_17_digits": chunks(b"00000000000000005\r\naaaaa\r\n" + LAST),
    "chunk_overflow": chunks(b"10000000000000005\r\naaaaa\r\n" + LAST),
    "chunk_without_size": chunks(b"\r\n" + LAST),
    "chunk_with_bare_line_feeds": chunks(b"5\naaaaa\n0\n\n"),
    "chunk_with_bare_carriage_return": chunks(b"5\raaaaa\r0\r\r"),
    "chunk_longer_than_said": chunks(b"3\r\naaaaa\r\n" + LAST),
    "chunk_shorter_than_said": chunks(b"8\r\naaaaa\r\n" + LAST),
    "chunk_extension_with_line_feed": chunks(b"5;a=\nb\r\naaaaa\r\n" + LAST),
    "chunk_extension_of_64_kb": chunks(b"5;a=" + b"b" * 65536 + b"\r\naaaaa\r\n" + LAST),
    "trailer_that_is_a_length": chunks(b"5\r\naaaaa\r\n0\r\nContent-Length: 44\r\n\r\n"),
    "trailer_of_64_kb": chunks(b"0\r\nX: " + b"y" * 65536 + b"\r\n\r\n"),
    "expectation_and_length": request(H, b"Expect: 100-continue, x", b"Content-Length: 4", body=b"abcd" + HIDDEN),
    "upgrade_to_h2c": request(H, b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__",
                              b"Content-Length: 44", body=HIDDEN),
    "preface_of_http_2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN,
    "tls_hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64) + b"\r\n\r\n" + HIDDEN,
    "version_1_2": request(H, b"Content-Length: 0", line=b"POST /api/v1/search HTTP/1.2", body=HIDDEN),
    "version_without_dot": request(H, b"Content-Length: 0", line=b"POST /api/v1/search HTTP/11", body=HIDDEN),
    "version_in_small_letters": request(H, b"Content-Length: 0", line=b"POST /api/v1/search http/1.1", body=HIDDEN),
    "space_before_the_method": b" POST /api/v1/search HTTP/1.1\r\nHost: h\r\nContent-Length: 44\r\n\r\n" + HIDDEN,
    "tab_in_the_request_line": request(H, b"Content-Length: 0", line=b"POST\t/api/v1/search HTTP/1.1", body=HIDDEN),
    "host_with_at": request(b"Host: a@b", b"Content-Length: 0", body=HIDDEN),
    "host_list": request(b"Host: a, b", b"Content-Length: 0", body=HIDDEN),
    "empty_host": request(b"Host:", b"Content-Length: 0", body=HIDDEN),
}
FORMS = {**SMUGGLING, **MORE}


def attempt(s, name, data):
    """(what is wrong, name, beginning of the answer), or None."""
    try:
        got, closed = s.raw(data, seconds=15, half_close=True)
    except OSError:  # closed while it was sent
        return None
    if answers(got) > 1 or b"hidden" in got:
        return "second answer", name, got[:300]
    if not closed:
        return "left open", name, got[:200]
    if got and not got.startswith(b"HTTP/1.1 4") and not got.startswith(b"HTTP/1.1 5"):
        return "not refused", name, got[:100]
    return None


with Bars() as b, Suite(auth="on", env={**FREE, "BODY_TIMEOUT": str(pick(2, 10))}) as s:
    with ThreadPoolExecutor(8) as pool:
        wrong = [w for w in pool.map(lambda item: attempt(s, *item), FORMS.items()) if w]
    b.none(f"A09_second_answers_of_{len(FORMS)}", [w for w in wrong if w[0] == "second answer"])
    b.none("A09_not_refused", [w for w in wrong if w[0] == "not refused"])
    b.none("A09_left_open", [w for w in wrong if w[0] == "left open"])
    # no form asks for /healthz itself, unless it is a hidden request
    b.none("A09_hidden_requests_in_the_log", [x for x in s.services["gateway"].log_lines() if x.get("msg") == "request" and x.get("route") == "GET /healthz"])
    b.equal("A09_works_afterwards", s.request("GET", "/healthz").status_code, 200)
    b.none("A09_services_that_ended_badly", s.down())
