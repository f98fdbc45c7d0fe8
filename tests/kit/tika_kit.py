"""A server for EXTRACT_URL in tests: takes PUT /tika as Apache Tika does, and answers with HTML that the test writes."""
import http_kit


class Tika(http_kit.Server):
    def __init__(self, port=0):
        self.calls, self.status, self.html = [], 200, b"<html><body><p>nothing was said</p></body></html>"
        outer = self

        class Handler(http_kit.Handler):
            def do_PUT(self):
                outer.calls.append((self.path, self.headers["Content-Type"], self.headers["Accept"], self.body()))
                status = outer.status if self.path == "/tika" else 404
                data = outer.html if status == 200 else b"<html><body>java.lang.SecretException</body></html>"
                self.answer(status, data, Content_Type="text/html; charset=UTF-8")
        super().__init__(Handler, port)
