"""A server that speaks the Hugging Face hub's API for models, with faults on demand."""

import base64
import contextlib
import hashlib
import http.server
import json
import re
import threading
import urllib.parse


def git_sha1(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


class Repository:
    """The files of one model repository at each of its commits."""

    def __init__(self, private=False):
        self.private = private
        self.commits = {}  # commit -> {name: bytes}
        self.head = None
        self.commit({".gitattributes": b"*.h5 filter=lfs diff=lfs merge=lfs -text\n"})

    @property
    def files(self):
        return self.commits[self.head]

    def commit(self, changes, removed=()):
        files = dict(self.commits.get(self.head, {}))
        files.update(changes)
        for name in removed:
            del files[name]
        text = f"{self.head}{[(name, git_sha1(data)) for name, data in sorted(files.items())]}"
        self.head = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        self.commits[self.head] = files

    def at(self, revision):
        return self.head if revision == "main" else revision


class Hub(http.server.ThreadingHTTPServer):
    """The hub at `address`, with the users of `tokens` and the repositories of `repositories`.

    Large files (`*.h5`) are LFS objects and served after a redirect with `X-Linked-Etag`; others
    are git blobs. `requests` holds "METHOD path" of everything asked.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.tokens = {"hf_write": ("me", True), "hf_read": ("me", False)}
        self.repositories = {}
        self.objects = {}
        self.faults = []
        self.requests = []

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"

    @contextlib.contextmanager
    def fault(self, kind, name=""):
        """Breaks requests whose path ends with `name` inside the block.

        Args:
            kind: "truncate" (a shorter body that claims to be whole), "close" (the connection
                ends half-way), "flip" (one byte differs), or an HTTP status.
            name: str, end of the path; "" breaks every request.
        """
        entry = (kind, name)
        self.faults.append(entry)
        try:
            yield
        finally:
            self.faults.remove(entry)

    def handle_error(self, request, client_address):
        """A client that hangs up is part of what is tested, and no news."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        """Keeps the test's output to the test."""

    def do_HEAD(self):
        self.route("HEAD")

    def do_GET(self):
        self.route("GET")

    def do_POST(self):
        self.route("POST")

    def do_PUT(self):
        self.route("PUT")

    def route(self, method):
        self.payload = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            self.payload = self.read_chunks()
        parts = urllib.parse.urlsplit(self.path)
        path, self.query = urllib.parse.unquote(parts.path), urllib.parse.parse_qs(parts.query)
        self.server.requests.append(f"{method} {path}")
        for kind, name in self.server.faults:
            if isinstance(kind, int) and path.endswith(name):
                return self.reply(kind, {"error": "broken on purpose"})
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token not in self.server.tokens and not path.startswith("/objects/"):
            return self.reply(
                401, {"error": "x"}, message="Invalid credentials in Authorization header"
            )
        self.user, self.may_write = self.server.tokens.get(token, (None, False))
        for verb, pattern, action in ROUTES:
            match = re.fullmatch(pattern, path)
            if match and method in verb.split():
                return action(self, **match.groupdict())
        return self.reply(404, {"error": f"no such route: {path}"})

    def read_chunks(self):
        data = b""
        while size := int(self.rfile.readline(), 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def reply(self, status, value=None, headers=(), message=None, code=None):
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        for key, text in (("X-Error-Message", message), ("X-Error-Code", code), *headers):
            if text:
                self.send_header(key, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def repository(self, repo, revision="main"):
        """The repository if the caller may see it; otherwise answers as the hub does."""
        found = self.server.repositories.get(repo)
        if found is None or (found.private and self.user != repo.split("/")[0]):
            if self.user is None:  # the hub doesn't tell strangers what exists
                self.reply(401, {"error": "x"}, message="Invalid username or password.")
            else:
                self.reply(404, {"error": "x"}, message="Repository not found", code="RepoNotFound")
            return None
        if found.at(revision) not in found.commits:
            self.reply(404, {"error": "x"}, message="Invalid rev id", code="RevisionNotFound")
            return None
        return found

    def writable(self, repo):
        found = self.repository(repo)
        if found is not None and not (self.may_write and self.user == repo.split("/")[0]):
            self.reply(403, {"error": "x"}, message="You have read access only")
            return None
        return found

    def create(self):
        if self.user is None:
            return self.reply(401, {"error": "x"}, message="Invalid username or password.")
        ask = json.loads(self.payload)
        owner = ask.get("organization") or self.user
        if not self.may_write or owner != self.user:
            return self.reply(403, {"error": "x"}, message="You don't have the rights")
        repo = f"{owner}/{ask['name']}"
        answer = {"url": f"{self.server.address}/{repo}", "name": repo}
        if repo in self.server.repositories:
            return self.reply(409, {**answer, "error": "You already created this model repo"})
        self.server.repositories[repo] = Repository(private=ask.get("visibility") == "private")
        return self.reply(200, answer)

    def info(self, repo, revision="main"):
        if (found := self.repository(repo, revision or "main")) is None:
            return
        commit = found.at(revision or "main")
        siblings = [
            {"rfilename": name, **(file_facts(name, data) if "blobs" in self.query else {})}
            for name, data in sorted(found.commits[commit].items())
        ]
        fields = {"id": repo, "modelId": repo, "sha": commit, "private": found.private}
        self.reply(200, {**fields, "tags": [], "downloads": 0, "likes": 0, "siblings": siblings})

    def tree(self, repo, revision):
        if (found := self.repository(repo, revision)) is None:
            return
        rows = []
        for name, data in sorted(found.commits[found.at(revision)].items()):
            facts = file_facts(name, data)
            row = {"type": "file", "path": name, "size": len(data), "oid": facts["blobId"]}
            if "lfs" in facts:
                row["lfs"] = {**facts["lfs"], "oid": facts["lfs"]["sha256"]}
            rows.append(row)
        self.reply(200, rows)

    def validate(self):
        content = json.loads(self.payload)["content"]
        if not re.match(r"---\n.*?\n---\n", content, re.S):
            return self.reply(200, {"errors": [], "warnings": [{"message": "empty metadata"}]})
        return self.reply(200, {"errors": [], "warnings": []})

    def preupload(self, repo, revision):
        if (found := self.writable(repo)) is None:
            return
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(".h5") else "regular",
                "shouldIgnore": False,
                "oid": git_sha1(found.files[file["path"]]) if file["path"] in found.files else None,
            }
            for file in json.loads(self.payload)["files"]
        ]
        self.reply(200, {"files": files})

    def batch(self, repo):
        if self.writable(repo) is None:
            return
        objects = []
        for ask in json.loads(self.payload)["objects"]:
            answer = {"oid": ask["oid"], "size": ask["size"]}
            if ask["oid"] not in self.server.objects:
                href = f"{self.server.address}/objects/{ask['oid']}"
                answer["actions"] = {"upload": {"href": href}}
            objects.append(answer)
        self.reply(200, {"transfer": "basic", "objects": objects})

    def store(self, oid):
        if hashlib.sha256(self.payload).hexdigest() != oid:
            return self.reply(400, {"error": "wrong checksum"})
        self.server.objects[oid] = self.payload
        return self.reply(200, {})

    def commit(self, repo, revision):
        if (found := self.writable(repo)) is None:
            return
        changes, removed = {}, []
        for line in self.payload.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                changes[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                changes[value["path"]] = self.server.objects[value["oid"]]
            elif entry["key"] == "deletedFile":
                removed.append(value["path"])
        found.commit(changes, removed)
        url = f"{self.server.address}/{repo}/commit/{found.head}"
        self.reply(200, {"commitUrl": url, "commitOid": found.head})

    def file(self, repo, revision, name):
        if (found := self.repository(repo, revision)) is None:
            return
        commit = found.at(revision)
        headers = [("X-Repo-Commit", commit)]
        if name not in found.commits[commit]:
            return self.reply(404, {"error": "x"}, headers, "Entry not found", "EntryNotFound")
        data = found.commits[commit][name]
        facts = file_facts(name, data)
        if "lfs" not in facts:
            return self.content(name, data, [*headers, ("ETag", f'"{facts["blobId"]}"')])
        oid = facts["lfs"]["sha256"]
        self.server.objects.setdefault(oid, data)
        # Another host name than the hub's, as its file store has: the client then keeps the
        # ETag of this answer and leaves its token out.
        href = f"http://localhost:{self.server.server_port}/objects/{oid}?name={name}"
        linked = [("X-Linked-Size", str(len(data))), ("X-Linked-Etag", f'"{oid}"')]
        return self.reply(302, None, [*headers, *linked, ("Location", href)])

    def serve(self, oid):
        self.content(self.query["name"][0], self.server.objects[oid], [("ETag", f'"{oid}"')])

    def content(self, name, data, headers):
        kinds = [kind for kind, end in self.server.faults if name.endswith(end)]
        if "flip" in kinds:
            middle = len(data) // 2
            data = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        if "truncate" in kinds and self.command == "GET":
            data = data[: len(data) // 2]
        start = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(start[1]) if start else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        for key, text in headers:
            self.send_header(key, text)
        self.end_headers()
        if self.command == "HEAD":
            return
        # Never past the middle, so that resuming doesn't get round a broken line.
        end = len(data) // 2 if "close" in kinds else len(data)
        self.wfile.write(data[start:end])
        if "close" in kinds:
            self.wfile.flush()
            self.close_connection = True


def file_facts(name, data):
    facts = {"size": len(data), "blobId": git_sha1(data)}
    if name.endswith(".h5"):
        sha256 = hashlib.sha256(data).hexdigest()
        facts["lfs"] = {"size": len(data), "sha256": sha256, "pointerSize": 130}
    return facts


_REPO = r"(?P<repo>[^/]+/[^/]+)"
ROUTES = [
    ("POST", "/api/repos/create", Handler.create),
    ("POST", "/api/validate-yaml", Handler.validate),
    ("GET", rf"/api/models/{_REPO}(/revision/(?P<revision>.+))?", Handler.info),
    ("GET", rf"/api/models/{_REPO}/tree/(?P<revision>.+)", Handler.tree),
    ("POST", rf"/api/models/{_REPO}/preupload/(?P<revision>.+)", Handler.preupload),
    ("POST", rf"/api/models/{_REPO}/commit/(?P<revision>.+)", Handler.commit),
    ("POST", rf"/{_REPO}\.git/info/lfs/objects/batch", Handler.batch),
    ("PUT", "/objects/(?P<oid>[0-9a-f]{64})", Handler.store),
    ("GET HEAD", "/objects/(?P<oid>[0-9a-f]{64})", Handler.serve),
    ("GET HEAD", rf"/{_REPO}/resolve/(?P<revision>[^/]+)/(?P<name>.+)", Handler.file),
]


@contextlib.contextmanager
def running():
    """A `Hub` that answers until the block ends."""
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()
