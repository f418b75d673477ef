#!/usr/bin/env python3
"""A home gateway for tests on the loopback interface: it maps ports and forwards them, by NAT-PMP, by UPnP or by hand.

    gateway.py natpmp|upnp|static [--lease SECONDS] [--inside IP] [--deaf]

Its external address is 127.0.0.1 too, an external port a free one. It prints "ready", and a line for what happens: "MAP port external seconds",
"UNMAP port", "CONNECT external". With --deaf it maps and does not forward. "static" asks nobody: it forwards one free
port to the same one of --inside. Ends when its input closes.
"""

import argparse
import http.server
import re
import socket
import struct
import sys
import threading

LOOPBACK = "127.0.0.1"
SERVICE = "urn:schemas-upnp-org:service:WANIPConnection:1"
DEVICE = "urn:schemas-upnp-org:device:InternetGatewayDevice:1"


def say(*words):
    print(*words, flush=True)


def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


class Mappings:
    """External listeners by internal port."""

    def __init__(self, deaf, inside):
        self.deaf, self.inside, self.listeners, self.lock = deaf, inside, {}, threading.Lock()

    def add(self, port, seconds):
        with self.lock:
            if port not in self.listeners:
                self.listeners[port] = socket.create_server((LOOPBACK, 0))
                threading.Thread(target=self.serve, args=(self.listeners[port], port), daemon=True).start()
            external = self.listeners[port].getsockname()[1]
        say("MAP", port, external, seconds)
        return external

    def remove(self, port):
        with self.lock:
            listener = self.listeners.pop(port, None)
        if listener:
            listener.close()
        say("UNMAP", port)

    def by_external(self, external):
        with self.lock:
            return next((port for port, listener in self.listeners.items() if listener.getsockname()[1] == external), external)

    def serve(self, listener, port):
        external = listener.getsockname()[1]
        while True:
            try:
                outside, _ = listener.accept()
            except OSError:
                return
            say("CONNECT", external)
            if self.deaf:
                outside.close()
                continue
            inside = socket.create_connection((self.inside, port))
            threading.Thread(target=pump, args=(outside, inside), daemon=True).start()
            threading.Thread(target=pump, args=(inside, outside), daemon=True).start()


def natpmp(mappings, lease):
    """RFC 6886."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((LOOPBACK, 5351))
    say("ready")
    while True:
        request, sender = server.recvfrom(64)
        if request[:2] == b"\0\0":
            server.sendto(struct.pack("!BBHI4s", 0, 128, 0, 1, socket.inet_aton(LOOPBACK)), sender)
        elif request[:2] == b"\0\2" and len(request) == 12:
            port, _, seconds = struct.unpack("!HHI", request[4:])
            if seconds == 0:
                mappings.remove(port)
                external = 0
            else:
                seconds = min(seconds, lease)
                external = mappings.add(port, seconds)
            server.sendto(struct.pack("!BBHIHHI", 0, 130, 0, 1, port, external, seconds), sender)


def static(mappings, lease):
    """As an operator forwards a port: the same one outside and inside."""
    say("ready")
    listener = socket.create_server((LOOPBACK, 0))
    port = listener.getsockname()[1]
    say("MAP", port, port, lease)
    mappings.serve(listener, port)


DESCRIPTION = f"""<?xml version="1.0"?>
<root xmlns="urn:schemas-upnp-org:device-1-0"><device><deviceType>{DEVICE}</deviceType><deviceList><device>
<deviceType>urn:schemas-upnp-org:device:WANDevice:1</deviceType><serviceList><service>
<serviceType>urn:schemas-upnp-org:service:WANCommonInterfaceConfig:1</serviceType><controlURL>/common</controlURL>
<eventSubURL>/common-event</eventSubURL><SCPDURL>/common.xml</SCPDURL></service></serviceList><deviceList><device>
<deviceType>urn:schemas-upnp-org:device:WANConnectionDevice:1</deviceType><serviceList><service><serviceType>{SERVICE}</serviceType>
<controlURL>/control</controlURL><eventSubURL>/event</eventSubURL><SCPDURL>/scpd.xml</SCPDURL></service></serviceList>
</device></deviceList></device></deviceList></device></root>"""


def upnp(mappings, lease):
    """The parts of UPnP's InternetGatewayDevice:1 that a client needs."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self, body):
            data = body.encode()
            self.send_response(200)
            self.send_header("Content-Type", 'text/xml; charset="utf-8"')
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self):
            self.answer(DESCRIPTION)

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            action = self.headers["SOAPAction"].split("#")[1].strip('"')

            def argument(name):
                return re.search(f"<{name}>(.*?)</{name}>", body)[1]

            values = {}
            if action == "GetExternalIPAddress":
                values = {"NewExternalIPAddress": LOOPBACK}
            elif action == "GetStatusInfo":
                values = {"NewConnectionStatus": "Connected", "NewLastConnectionError": "ERROR_NONE", "NewUptime": "1"}
            elif action == "AddPortMapping":
                port, external = int(argument("NewInternalPort")), int(argument("NewExternalPort"))
                if external == port:
                    # The first choice is taken, as it is here: the external and the internal address are one.
                    return self.fail(718)
                forward(port, external, int(argument("NewLeaseDuration")))
            elif action == "DeletePortMapping":
                mappings.remove(mappings.by_external(int(argument("NewExternalPort"))))
            inner = "".join(f"<{name}>{value}</{name}>" for name, value in values.items())
            self.answer(
                '<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
                f'<u:{action}Response xmlns:u="{SERVICE}">{inner}</u:{action}Response></s:Body></s:Envelope>'
            )

        def fail(self, code):
            data = (
                '<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault>'
                f"<faultcode>s:Client</faultcode><detail><UPnPError><errorCode>{code}</errorCode></UPnPError></detail></s:Fault></s:Body></s:Envelope>"
            ).encode()
            self.send_response(500)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    def forward(port, external, seconds):
        with mappings.lock:
            if port not in mappings.listeners:
                mappings.listeners[port] = socket.create_server((LOOPBACK, external))
                threading.Thread(target=mappings.serve, args=(mappings.listeners[port], port), daemon=True).start()
        say("MAP", port, external, seconds)

    web = http.server.ThreadingHTTPServer((LOOPBACK, 0), Handler)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    search = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    search.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    search.bind(("239.255.255.250", 1900))
    search.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton("239.255.255.250") + socket.inet_aton(LOOPBACK))
    say("ready")
    while True:
        request, sender = search.recvfrom(2048)
        wanted = re.search(rb"(?im)^ST:\s*(\S+)", request)
        if request.startswith(b"M-SEARCH") and wanted and wanted[1].decode() == DEVICE:
            search.sendto(
                (
                    f"HTTP/1.1 200 OK\r\nST: {DEVICE}\r\nUSN: uuid:1::{DEVICE}\r\nEXT:\r\nSERVER: test\r\n"
                    f"LOCATION: http://{LOOPBACK}:{web.server_address[1]}/root.xml\r\nCACHE-CONTROL: max-age=60\r\n\r\n"
                ).encode(),
                sender,
            )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["natpmp", "upnp", "static"])
    parser.add_argument("--lease", type=int, default=3600)
    parser.add_argument("--inside", default=LOOPBACK)
    parser.add_argument("--deaf", action="store_true")
    options = parser.parse_args()
    target = {"natpmp": natpmp, "upnp": upnp, "static": static}[options.kind]
    threading.Thread(target=target, args=(Mappings(options.deaf, options.inside), options.lease), daemon=True).start()
    sys.stdin.read()


main()
