"""A server for EXTRACT_URL in tests: takes POST /v1/convert/file as docling-serve documents it, and answers with the HTML and status that the test writes."""
import email
import email.policy
import json

import http_kit


class Docling(http_kit.Server):
    def __init__(self, port=0):
        self.calls, self.http, self.status, self.html = [], 200, "success", "<html><body><p>nothing was said</p></body></html>"
        outer = self

        class Handler(http_kit.Handler):
            def do_POST(self):
                head = b"Content-Type: " + self.headers["Content-Type"].encode() + b"\r\n\r\n"
                parts = email.message_from_bytes(head + self.body(), policy=email.policy.HTTP).iter_parts()
                form = {p.get_param("name", header="content-disposition"): (p.get_filename(), p.get_content_type(), p.get_payload(decode=True)) for p in parts}
                outer.calls.append((self.path, form))
                doc = {"filename": "document.pdf", "md_content": None, "html_content": outer.html, "text_content": None}
                reply = {"document": doc, "status": outer.status, "errors": [], "processing_time": 0.1, "timings": {}}
                ok = self.path == "/v1/convert/file" and outer.http == 200
                self.answer(outer.http if ok else outer.http if outer.http != 200 else 404,
                            json.dumps(reply if ok else {"detail": "Secret trace"}).encode(), Content_Type="application/json")
        super().__init__(Handler, port)
