"""llama.cpp's own HTTP server, as the package xllamacpp brings it, until SIGTERM. It takes those options of llama-server that are used
here (local-model.sh, tests/llama), so that one can stand for the other.
"""
import argparse
import os
import signal
import threading

import xllamacpp

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", required=True, help="a GGUF file")
parser.add_argument("--host", default="127.0.0.1")
parser.add_argument("--port", type=int, default=8080)
parser.add_argument("--alias", default="local", help="the model's name in requests and replies")
parser.add_argument("--ctx-size", type=int, default=4096, help="tokens of all answers at once")
parser.add_argument("--parallel", type=int, default=1, help="answers at once")
parser.add_argument("--threads", type=int, default=int(os.environ.get("LLAMA_ARG_THREADS") or max(1, min(8, (os.cpu_count() or 1) - 1))))
parser.add_argument("--pooling", choices=("mean", "last"), help="vectors, too")
args = parser.parse_args()

p = xllamacpp.CommonParams()
p.model.path = args.model
p.hostnames = [args.host]
p.port = args.port
p.model_alias = {args.alias}
p.n_ctx = args.ctx_size
p.n_batch = p.n_ubatch = min(args.ctx_size, 2048)  # a text to embed must fit into one batch
p.n_parallel = args.parallel
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = args.threads
p.use_jinja = True
p.endpoint_metrics = True
if args.pooling:
    p.embedding = True
    kinds = xllamacpp.llama_pooling_type
    p.pooling_type = kinds.LLAMA_POOLING_TYPE_MEAN if args.pooling == "mean" else kinds.LLAMA_POOLING_TYPE_LAST
stop = threading.Event()
for s in (signal.SIGINT, signal.SIGTERM):
    signal.signal(s, lambda *_: stop.set())
server = xllamacpp.Server(p)
print("listening on", server.listening_address, flush=True)

stop.wait()
os._exit(0)  # the server's threads have nothing to save
