"""llama.cpp's own HTTP server, as the package xllamacpp brings it, on loopback until SIGTERM.

serve.py MODEL PORT NAME [--embedding mean|last] [--ctx N]
"""
import argparse
import os
import signal
import threading

import xllamacpp

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("port", type=int)
parser.add_argument("name")
parser.add_argument("--embedding", choices=("mean", "last"))
parser.add_argument("--ctx", type=int, default=4096)
args = parser.parse_args()

p = xllamacpp.CommonParams()
p.model.path = args.model
p.hostnames = ["127.0.0.1"]
p.port = args.port
p.model_alias = {args.name}
p.n_ctx = args.ctx
p.n_batch = p.n_ubatch = min(args.ctx, 2048)  # a text to embed must fit into one batch
p.n_parallel = 1
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = min(4, os.cpu_count() or 1)
p.use_jinja = True
p.endpoint_metrics = True
if args.embedding:
    p.embedding = True
    kinds = xllamacpp.llama_pooling_type
    p.pooling_type = kinds.LLAMA_POOLING_TYPE_MEAN if args.embedding == "mean" else kinds.LLAMA_POOLING_TYPE_LAST
server = xllamacpp.Server(p)
print("listening on", server.listening_address, flush=True)

stop = threading.Event()
for s in (signal.SIGINT, signal.SIGTERM):
    signal.signal(s, lambda *_: stop.set())
stop.wait()
os._exit(0)  # the server's threads have nothing to save
