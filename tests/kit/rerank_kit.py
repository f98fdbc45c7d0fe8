"""A rerank server for tests, of either shape (embedder/openai/rerank.h)."""
import json

import http_kit


class Reranker(http_kit.Server):
    """A server of one shape: "documents" (Cohere, Jina, vLLM) or "texts" (text-embeddings-inference), which refuses the other one."""

    def __init__(self, shape):
        self.shape, self.calls, self.fault, self.score = shape, [], None, lambda query, text: 0.5
        self.stalls = None  # an event: an answer stops after its first byte until it is set
        outer = self

        class Handler(http_kit.Handler):
            def do_POST(self):
                body = json.loads(self.body())
                outer.calls.append((self.path, body, dict(self.headers)))
                status, reply = outer.answer(body)
                data = json.dumps(reply).encode() if not isinstance(reply, bytes) else reply
                self.head(status, len(data), Content_Type="application/json")
                if outer.stalls:
                    self.wfile.write(data[:1])
                    outer.stalls.wait(20)
                    return
                self.wfile.write(data)
        super().__init__(Handler)
        self.url += "/rerank"

    def answer(self, body):
        if self.fault:
            return self.fault(body)
        if self.shape not in body:
            return 422, {"error": f"Failed to deserialize the JSON body: missing field `{self.shape}`", "error_type": "validation"}
        rows = sorted(((self.score(body["query"], t), i) for i, t in enumerate(body[self.shape])), reverse=True)
        if self.shape == "texts":
            return 200, [{"index": i, "score": s} for s, i in rows]
        return 200, {"id": "x", "results": [{"index": i, "relevance_score": s} for s, i in rows[:body["top_n"]]]}
