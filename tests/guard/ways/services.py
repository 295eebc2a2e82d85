"""Programs that receive what they unpickle: sockets, servers, queues, managers."""

from __future__ import annotations

from tests.guard.ways import ways

_TEXT = r'''
### socket-server
import socketserver, socket, threading
class H(socketserver.StreamRequestHandler):
    def handle(self): pickle.load(self.rfile)
s = socketserver.TCPServer(("127.0.0.1", 0), H)
t = threading.Thread(target=s.handle_request); t.start()
c = socket.create_connection(s.server_address); c.sendall(EVIL); c.close(); t.join()
### socket-datagram
import socket
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM); a.send(EVIL); pickle.loads(b.recv(999))
### http-server
import http.server, threading, urllib.request
class H(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        try: pickle.load(self.rfile)
        finally: self.send_response(200); self.end_headers()
    def log_message(self, *a): pass
s = http.server.HTTPServer(("127.0.0.1", 0), H)
t = threading.Thread(target=s.handle_request); t.start()
urllib.request.urlopen(f"http://127.0.0.1:{s.server_port}", EVIL).read(); t.join()
### http-client
import http.server, threading, urllib.request
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self): self.send_response(200); self.end_headers(); self.wfile.write(EVIL)
    def log_message(self, *a): pass
s = http.server.HTTPServer(("127.0.0.1", 0), H)
t = threading.Thread(target=s.handle_request); t.start()
pickle.load(urllib.request.urlopen(f"http://127.0.0.1:{s.server_port}"))
### url-of-file
import urllib.request
pickle.load(urllib.request.urlopen("file://" + os.path.abspath(file())))
### data-url
import urllib.request, base64
pickle.load(urllib.request.urlopen("data:;base64," + base64.b64encode(EVIL).decode()))
### wsgi
import wsgiref.util
e = {"wsgi.input": io.BytesIO(EVIL)}; wsgiref.util.setup_testing_defaults(e)
def app(env, start): start("200 OK", []); return [repr(pickle.load(env["wsgi.input"])).encode()]
list(app(e, lambda *a: None))
### xmlrpc-server
import xmlrpc.server, xmlrpc.client, threading
s = xmlrpc.server.SimpleXMLRPCServer(("127.0.0.1", 0), logRequests=False, allow_none=True)
s.register_function(lambda b: str(pickle.loads(b.data)), "go")
t = threading.Thread(target=s.handle_request); t.start()
try: xmlrpc.client.ServerProxy("http://127.0.0.1:%d" % s.server_address[1]).go(xmlrpc.client.Binary(EVIL))
except xmlrpc.client.Fault as f: print(f)
### logging-listen
import logging.config, socket, struct, threading
t = logging.config.listen(0); t.daemon = True
import socketserver
ports = []
raw_init = socketserver.TCPServer.server_bind
def bind(self): raw_init(self); ports.append(self.server_address[1])
socketserver.TCPServer.server_bind = bind
t.start(); t.ready.wait()
text = ("""[loggers]
keys=root
[handlers]
keys=h
[formatters]
keys=
[logger_root]
handlers=h
[handler_h]
class=StreamHandler
args=(__import__('os').mkfifo(%r),)
""" % MARK).encode()
c = socket.create_connection(("127.0.0.1", ports[0])); c.sendall(struct.pack(">L", len(text)) + text); c.close()
import time; time.sleep(.5)
logging.config.stopListening()
### logging-listen-json
import logging.config, socket, struct, threading, json, socketserver
t = logging.config.listen(0); t.daemon = True
ports = []
raw_init = socketserver.TCPServer.server_bind
def bind(self): raw_init(self); ports.append(self.server_address[1])
socketserver.TCPServer.server_bind = bind
t.start(); t.ready.wait()
text = json.dumps({"version": 1, "formatters": {"x": {"()": "os.mkfifo", "path": MARK}}}).encode()
c = socket.create_connection(("127.0.0.1", ports[0])); c.sendall(struct.pack(">L", len(text)) + text); c.close()
import time; time.sleep(.5)
logging.config.stopListening()
### logging-socket-receiver
import logging.handlers, socketserver, struct, threading, socket
class H(socketserver.StreamRequestHandler):
    def handle(self):
        size = struct.unpack(">L", self.connection.recv(4))[0]
        logging.makeLogRecord(pickle.loads(self.connection.recv(size)))
s = socketserver.TCPServer(("127.0.0.1", 0), H)
t = threading.Thread(target=s.handle_request); t.start()
c = socket.create_connection(s.server_address); c.sendall(struct.pack(">L", len(EVIL)) + EVIL); c.close(); t.join()
### logging-datagram-receiver
import logging.handlers, socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("127.0.0.1", 0))
c = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); c.sendto(b"\0\0\0\0" + EVIL, s.getsockname())
logging.makeLogRecord(pickle.loads(s.recv(999)[4:]))
### manager-with-known-key
from multiprocessing.managers import BaseManager
from multiprocessing.connection import Client
import threading
class M(BaseManager): pass
M.register("go", callable=lambda: {})
s = M(("127.0.0.1", 0), b"key").get_server()
t = threading.Thread(target=s.serve_forever, daemon=True); t.start()
c = Client(s.address, authkey=b"key"); c.send_bytes(EVIL)
try: c.recv_bytes()
except (EOFError, ConnectionError): pass
### manager-client
from multiprocessing.managers import BaseManager
from multiprocessing.connection import Listener
import threading
class M(BaseManager): pass
M.register("go")
l = Listener(("127.0.0.1", 0), authkey=b"key")
def serve():
    c = l.accept(); c.recv_bytes(); c.send_bytes(EVIL)
t = threading.Thread(target=serve, daemon=True); t.start()
m = M(l.address, b"key"); m.connect()
### manager-proxy
from multiprocessing.managers import BaseManager, State
from multiprocessing.connection import Listener
import threading
l = Listener("s", authkey=b"key")
def serve():
    c = l.accept(); c.recv_bytes(); c.send_bytes(EVIL)
t = threading.Thread(target=serve, daemon=True); t.start()
from multiprocessing.managers import dispatch
from multiprocessing.connection import Client
dispatch(Client("s", authkey=b"key"), None, "dummy")
### queue-listener
import logging.handlers, queue
q = queue.Queue(); q.put(EVIL)
class L(logging.handlers.QueueListener):
    def handle(self, record): pickle.loads(record)
l = L(q); l.start(); l.stop()
### resource-sharer
from multiprocessing.connection import Listener, Client
import threading
l = Listener(None, authkey=b"a"); got = []
t = threading.Thread(target=lambda: got.append(l.accept())); t.start()
c = Client(l.address, authkey=b"a"); t.join(); c.send_bytes(EVIL); got[0].recv()
### asyncio-protocol
import asyncio
class Pr(asyncio.Protocol):
    def data_received(self, data): pickle.loads(data)
async def main():
    s = await asyncio.get_running_loop().create_unix_server(Pr, "s")
    r, w = await asyncio.open_unix_connection("s"); w.write(EVIL); await w.drain(); await asyncio.sleep(.1)
asyncio.run(main())
### selectors
import selectors, socket
a, b = socket.socketpair(); a.send(EVIL); s = selectors.DefaultSelector(); s.register(b, 1)
for key, _ in s.select(1): pickle.loads(key.fileobj.recv(999))
### sqlite-blob
import sqlite3
d = sqlite3.connect("d.db"); d.execute("create table t (v blob)"); d.execute("insert into t values (?)", (EVIL,))
pickle.loads(d.execute("select v from t").fetchone()[0])
### sqlite-adapted
import sqlite3
sqlite3.register_adapter(dict, pickle.dumps); sqlite3.register_converter("obj", pickle.loads)
d = sqlite3.connect(":memory:", detect_types=sqlite3.PARSE_DECLTYPES); d.execute("create table t (v obj)")
d.execute("insert into t values (?)", ({"x": P()},)); d.execute("select v from t").fetchone()
### dbm
import dbm.dumb
with dbm.dumb.open("d", "n") as d: d[b"k"] = EVIL
pickle.loads(dbm.dumb.open("d")[b"k"])
### environment
os.environ["DATA"] = EVIL.hex(); pickle.loads(bytes.fromhex(os.environ["DATA"]))
### argument
import subprocess
subprocess.run([sys.executable, "-c", "import pickle,sys; pickle.loads(bytes.fromhex(sys.argv[1]))", EVIL.hex()])
### standard-input
import subprocess
subprocess.run([sys.executable, "-c", "import pickle,sys; pickle.load(sys.stdin.buffer)"], input=EVIL)
### standard-input-connection
import subprocess
subprocess.run([sys.executable, "-c", "from multiprocessing.connection import Connection as C; C(0).recv()"],
               input=len(EVIL).to_bytes(4, "big") + EVIL)
### extended-attribute
pickle.loads((os.setxattr(__file__, "user.x", EVIL), os.getxattr(__file__, "user.x"))[1])
### shared-memory-of-a-stranger
from multiprocessing.shared_memory import SharedMemory
import subprocess
s = SharedMemory(create=True, size=len(EVIL)); s.buf[:] = EVIL[:s.size] + bytes(s.size - len(EVIL)) if s.size > len(EVIL) else EVIL
try: pickle.loads(bytes(s.buf))
finally: s.close(); s.unlink()
### pool-of-bytes
from multiprocessing import get_context
with get_context("fork").Pool(1) as p:
    try: p.map(pickle.loads, [EVIL])
    except Exception as e: print(e)
### idle-rpc needs=idlelib
import idlelib.rpc as r, socket, threading, struct
a, b = socket.socketpair(); s = r.SocketIO(b)
a.sendall(struct.pack("<i", len(EVIL)) + EVIL)
s.pollmessage(1)
### trace-module
import subprocess
file(); open("p.py", "w").write("pass")
subprocess.run([sys.executable, "-m", "trace", "--report", "-f", "evil.bin", "-C", "."])
### remote-procedure
import json
METHODS = {"load": pickle.loads}
r = json.loads(json.dumps({"method": "load", "params": [EVIL.decode()]}))
METHODS[r["method"]](r["params"][0].encode())
'''

WAYS = ways("services", _TEXT)
