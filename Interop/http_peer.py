#!/usr/bin/env python3
"""A peer that only speaks HTTP, as ChainCore's program answers. http_peer.py PEERS, a JSON list of URLs that it tells of.

Prints its port, then a line "GET path" for each request; ends when its input closes.
"""

import http.server
import json
import sys
import threading

TOLD = json.loads(sys.argv[1])


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        print(f"GET {self.path}", flush=True)
        body = {
            "/status": {"node_id": "x", "blockchain_length": 1, "pending_transactions": 0, "peers": len(TOLD), "target_difficulty": 4},
            "/peers": {"peers": TOLD, "active_peers": TOLD[:1], "peer_count": len(TOLD[:1])},
        }.get(self.path)
        data = json.dumps(body).encode()
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
sys.stdin.read()
