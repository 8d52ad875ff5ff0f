"""A visitor, an agent and a receiver of webhooks, written from the contract alone.

It knows two addresses and a secret. What to ask for, what to send and what may come it takes from
openapi.json and asyncapi.json, and it holds everything against their schemas. It tells the test where it
takes events, is told where the servers are (a line of JSON each), and ends with 0 if all was right.
"""

import base64
import hashlib
import hmac
import json
import os
import queue
import re
import socket
import struct
import sys
import threading
import time
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PATIENCE = 30


class Document:
    """One of the two, with a validator of what its schemas use."""

    ANNOTATIONS = {"description", "title", "default", "examples", "x-feature"}
    KINDS = {
        "object": lambda v: isinstance(v, dict),
        "array": lambda v: isinstance(v, list),
        "string": lambda v: isinstance(v, str),
        "boolean": lambda v: isinstance(v, bool),
        "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
        "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
        "null": lambda v: v is None,
    }

    def __init__(self, url):
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            self.whole = json.load(answer)

    def resolve(self, node):
        while "$ref" in node:
            at = self.whole
            for name in node["$ref"].removeprefix("#/").split("/"):
                at = at[name.replace("~1", "/").replace("~0", "~")]
            node = at
        return node

    def fits(self, schema, value):
        try:
            self.check(schema, value, "")
        except ValueError:
            return False
        return True

    def check(self, schema, value, place):
        """Raises ValueError if a value does not fit, or if a schema has what this does not know."""
        schema = self.resolve(schema)
        size = len(value) if isinstance(value, (str, list, dict)) else 0
        number = value if isinstance(value, (int, float)) else 0
        for word, rule in schema.items():
            right = True
            if word in self.ANNOTATIONS or word == "then":
                continue
            if word == "type":
                right = any(self.KINDS[kind](value) for kind in ([rule] if isinstance(rule, str) else rule))
            elif word == "const":
                right = value == rule
            elif word == "enum":
                right = value in rule
            elif word == "pattern":
                right = not isinstance(value, str) or re.search(rule, value) is not None
            elif word in ("minLength", "minItems", "minProperties"):
                right = self.concerns(word, value) is False or size >= rule
            elif word in ("maxLength", "maxItems", "maxProperties"):
                right = self.concerns(word, value) is False or size <= rule
            elif word == "minimum":
                right = not isinstance(value, (int, float)) or number >= rule
            elif word == "maximum":
                right = not isinstance(value, (int, float)) or number <= rule
            elif word == "required":
                right = not isinstance(value, dict) or all(name in value for name in rule)
            elif word == "anyOf":
                right = any(self.fits(one, value) for one in rule)
            elif word == "oneOf":
                right = sum(self.fits(one, value) for one in rule) == 1
            elif word == "allOf":
                for one in rule:
                    self.check(one, value, place)
            elif word == "if":
                if self.fits(rule, value):
                    self.check(schema.get("then", {}), value, place)
            elif word == "items":
                for i, one in enumerate(value if isinstance(value, list) else []):
                    self.check(rule, one, f"{place}[{i}]")
            elif word == "propertyNames":
                for name in value if isinstance(value, dict) else []:
                    self.check(rule, name, place)
            elif word == "properties":
                for name, one in value.items() if isinstance(value, dict) else []:
                    if name in rule:
                        self.check(rule[name], one, f"{place}.{name}")
            elif word == "additionalProperties":
                for name in value if isinstance(value, dict) else []:
                    if name not in schema.get("properties", {}):
                        if rule is False:
                            raise ValueError(f"{place}.{name}: no schema names it")
                        self.check(rule, value[name], f"{place}.{name}")
            else:
                raise ValueError(f"{place}: this program does not know {word}")
            if not right:
                raise ValueError(f"{place}: {json.dumps(value)} is not what {word} {json.dumps(rule)} wants")

    @staticmethod
    def concerns(word, value):
        return isinstance(value, {"Length": str, "Items": list, "Properties": dict}[word[3:]])


class Socket:
    """A WebSocket (RFC 6455) of a channel."""

    def __init__(self, contract, channel, parameters, hosts, side):
        self.contract, self.side, self.skipped = contract, side, []
        node = contract.whole["channels"][channel]
        self.sends, self.takes = [], []
        for operation in contract.whole["operations"].values():
            if contract.resolve(operation["channel"]) is node:
                messages = [contract.resolve(ref) for ref in operation["messages"]]
                (self.sends if operation["action"] == "send" else self.takes).extend(messages)
        path = node["address"].format(**parameters)
        host = hosts[contract.resolve(node["servers"][0])["host"]]
        name, port = host.split(":")
        self.raw = socket.create_connection((name, int(port)), timeout=PATIENCE)
        key = base64.b64encode(os.urandom(16)).decode()
        self.raw.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        self.stream = self.raw.makefile("rb")
        status = self.stream.readline().split()
        if status[1] != b"101":
            raise ValueError(f"{path}: {status}")
        while self.stream.readline() != b"\r\n":
            pass
        if self.frame() != "ping":
            raise ValueError("the first frame is no ping")
        self.write(f"pong:{side}")

    def features(self):
        """Everything that this channel has to list."""
        return sorted(set(re.findall(r'"x-feature": "(\w+)"', json.dumps([self.sends, self.contract.whole["components"]]))))

    def frame(self):
        while True:
            first, length = self.stream.read(2)
            if length == 126:
                length = struct.unpack(">H", self.stream.read(2))[0]
            elif length == 127:
                length = struct.unpack(">Q", self.stream.read(8))[0]
            payload = self.stream.read(length)
            if first == 0x81:
                return payload.decode()
            if first == 0x88:
                raise ValueError(f"closed: {payload[2:].decode()}")

    def write(self, text):
        payload, mask = text.encode(), os.urandom(4)
        length = len(payload)
        head = bytes([0x81, 0x80 | length]) if length < 126 else b"\x81\xfe" + struct.pack(">H", length)
        self.raw.sendall(head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload)))

    def send(self, name, args=None):
        value = {"type": name} if args is None else {"type": name, "args": args}
        message = next(m for m in self.takes if m["name"] == name)
        self.contract.check(message["payload"], value, name)
        self.write(json.dumps(value))

    def expect(self, name, **wanted):
        """The args of the next message of this name that has these fields; others are kept to the contract, too."""
        for args in self.skipped:
            if args[0] == name and all(args[1].get(key) == value for key, value in wanted.items()):
                self.skipped.remove(args)
                return args[1]
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            text = self.frame()
            if text == "ping":
                self.write(f"pong:{self.side}")
                continue
            value = json.loads(text)
            message = next((m for m in self.sends if m["name"] == value.get("type", "PendingUser")), None)
            if message is None:
                raise ValueError(f"no schema names {text}")
            self.contract.check(message["payload"], value, message["name"])
            if message["name"] == name and all(value["args"].get(key) == one for key, one in wanted.items()):
                return value["args"]
            if message["name"] == "Error":
                raise ValueError(text)
            self.skipped.append((message["name"], value["args"]))
        raise ValueError(f"no {name} has come")


class Receiver(BaseHTTPRequestHandler):
    """Takes events as Standard Webhooks has it."""

    contract, secret = None, ""
    events = queue.Queue()  # each once
    wrong = queue.Queue()
    seen = {}

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = 204
        try:
            event = self.take(body)
            key = self.headers["webhook-id"]
            self.seen[key] = self.seen.get(key, 0) + 1
            if event["type"] == "chat.taken" and self.seen[key] == 1:
                status = 500  # it comes again, with the same id
            else:
                self.events.put((key, event))
        except Exception as problem:
            self.wrong.put(f"{body}: {problem}")
        self.send_response(status)
        self.end_headers()

    def take(self, body):
        if not self.verified(body) or self.verified(body + b" "):
            raise ValueError("the signature is not right")
        event = json.loads(body)
        operation = self.contract.whole["webhooks"][event["type"]]["post"]
        for parameter in map(self.contract.resolve, operation["parameters"]):
            self.contract.check(parameter["schema"], self.headers[parameter["name"]], parameter["name"])
        self.contract.check(operation["requestBody"]["content"]["application/json"]["schema"], event, event["type"])
        return event

    def verified(self, body):
        at = self.headers["webhook-timestamp"]
        if abs(time.time() - int(at)) > 300:
            return False
        key = base64.b64decode(self.secret.removeprefix("whsec_"))
        signed = b".".join([self.headers["webhook-id"].encode(), at.encode(), body])
        wanted = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        given = [one.split(",", 1) for one in self.headers["webhook-signature"].split(" ")]
        return any(version == "v1" and hmac.compare_digest(one, wanted) for version, one in given)

    def log_message(self, *_):
        pass


def call(contract, hosts, name, **parameters):
    """Calls an operation by its id and returns the answer, kept to its schema."""
    for path, item in contract.whole["paths"].items():
        for method, operation in item.items():
            if method in ("get", "post") and operation["operationId"] == name:
                server = item.get("servers", contract.whole["servers"])[0]["url"]
                host = hosts[server.removeprefix("http://")]
                quoted = {key: urllib.parse.quote(value, safe="") for key, value in parameters.items()}
                request = urllib.request.Request(f"http://{host}{path.format(**quoted)}", method=method.upper())
                with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                    value = json.load(answer)
                    response = contract.resolve(operation["responses"][str(answer.status)])
                contract.check(response["content"]["application/json"]["schema"], value, name)
                return value
    raise ValueError(f"the contract has no {name}")


def talk(sockets, http, hosts):
    """A conversation; returns the chat's id and the events that a receiver must have got of it."""
    user = call(http, hosts, "register", userName="Nika ☂")
    visitor = Socket(sockets, "chat", {"chatId": user["chatId"]}, hosts, "user")
    visitor.send("Join", {"userId": user["userId"], "username": user["username"], "from": "User", "features": visitor.features()})
    visitor.expect("UserJoined", chatId=user["chatId"])
    visitor.send("ChatMessage", {"from": "User", "content": "anybody there?", "messageId": "m-1"})
    visitor.expect("ChatMessage", messageId="m-1", seq=1, supportId="")

    agent = Socket(sockets, "users", {}, hosts, "support")
    agent.send("Load", {"batch": True, "features": agent.features()})
    if user["chatId"] not in [one["chatId"] for one in agent.expect("PendingUsers")["users"]]:
        raise ValueError("the lobby does not show the user")
    agent.send("JoinUser", {"userId": user["userId"], "chatId": user["chatId"]})
    agent.expect("RemoveUser", userId=user["userId"])

    support = Socket(sockets, "chat", {"chatId": user["chatId"]}, hosts, "support")
    support.send("Join", {"userId": user["userId"], "supportUserName": "Vika", "from": "Support", "features": support.features()})
    support_id = support.expect("SupportJoinedUser", supportUserName="Vika")["supportId"]
    visitor.expect("SupportJoinedUser", supportId=support_id)
    if [one["content"] for one in support.expect("ChatHistory")["messages"]] != ["anybody there?"]:
        raise ValueError("another history")
    support.send("Typing", {"typing": True})
    visitor.expect("Typing", typing=True)
    support.send("ChatMessage", {"from": "Support", "content": "yes"})
    seq = visitor.expect("ChatMessage", content="yes", supportId=support_id)["seq"]
    visitor.send("Receipt", {"read": seq})
    support.expect("Receipt", read=seq)
    support.send("Note", {"content": "a canary"})
    support.expect("Note", content="a canary")
    visitor.send("Rate", {"score": 5, "comment": "quick"})
    support.expect("Rated", score=5)
    support.send("CloseChat")
    visitor.expect("ChatClosed", **{"from": "Support"})
    return user["chatId"], ["chat.waiting", "chat.message", "chat.taken", "chat.message", "chat.rated", "chat.closed"]


def main():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({"webhook": f"http://127.0.0.1:{server.server_port}/"}), flush=True)
    told = json.loads(sys.stdin.readline())
    hosts = {"localhost:9000": told["chat"], "localhost:9001": told["lobby"]}
    sockets, http = (Document(f"http://{told['chat']}/{name}.json") for name in ("asyncapi", "openapi"))
    Receiver.contract, Receiver.secret = http, told["secret"]
    if Document(f"http://{told['lobby']}/openapi.json").whole != http.whole:
        raise ValueError("the ports differ")

    chat, wanted = talk(sockets, http, hosts)
    got = []
    while len(got) < len(wanted):
        key, event = Receiver.events.get(timeout=PATIENCE)
        if event["data"].get("chatId") == chat and key not in [known for known, _ in got]:
            got.append((key, event["type"]))
    if [kind for _, kind in got] != wanted:
        raise ValueError(f"the events are {got}")
    if not Receiver.wrong.empty():
        raise ValueError(Receiver.wrong.get())
    again = sum(n - 1 for n in Receiver.seen.values())
    if again == 0:
        raise ValueError("no event came again")
    print(json.dumps({"events": len(got), "again": again}), flush=True)


main()
