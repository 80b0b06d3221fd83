"""Python's own mail clients against a demo server; its object (--json) is the first argument.

Also a SCRAM-SHA-256 client in clear sight (RFC 5802, RFC 7677), for SMTP, IMAP and POP3: the programs around know it rarely.
"""

import base64
import hashlib
import hmac
import imaplib
import json
import os
import poplib
import smtplib
import ssl
import sys
import zlib
from email.message import EmailMessage

demo = json.loads(sys.argv[1])
host, ports = demo["host"], demo["ports"]
alice, bob = demo["users"][:2]
tls = ssl.create_default_context(cafile=demo["ca"])


class Scram:
    """The client's side of one exchange."""

    def __init__(self, user):
        name = user["login"].replace("=", "=3D").replace(",", "=2C")
        self.password = user["password"].encode()
        self.bare = "n=%s,r=%s" % (name, base64.b64encode(os.urandom(18)).decode())

    def first(self):
        return ("n,," + self.bare).encode()

    def answer(self, challenge):
        """Our proof for the server's first message; for its last one nothing, after checking it."""
        fields = dict(part.split("=", 1) for part in challenge.decode().split(","))
        if "v" in fields:
            assert base64.b64decode(fields["v"]) == self.expected, "the server does not know the password"
            return b""
        nonce = self.bare.split("r=")[1]
        assert fields["r"].startswith(nonce) and len(fields["r"]) > len(nonce), "the server adds to the nonce"
        mac = lambda key, data: hmac.new(key, data, hashlib.sha256).digest()
        salted = hashlib.pbkdf2_hmac("sha256", self.password, base64.b64decode(fields["s"]), int(fields["i"]))
        client_key = mac(salted, b"Client Key")
        without_proof = "c=biws,r=" + fields["r"]
        said = ",".join([self.bare, challenge.decode(), without_proof]).encode()
        signature = mac(hashlib.sha256(client_key).digest(), said)
        self.expected = mac(mac(salted, b"Server Key"), said)
        proof = bytes(a ^ b for a, b in zip(client_key, signature))
        return (without_proof + ",p=" + base64.b64encode(proof).decode()).encode()


class Packed(imaplib.IMAP4_SSL):
    """imaplib with COMPRESS=DEFLATE (RFC 4978), by Python's zlib."""

    deflate = None

    def compress(self):
        imaplib.Commands["COMPRESS"] = ("AUTH", "SELECTED")
        assert self._simple_command("COMPRESS", "DEFLATE")[0] == "OK"
        self.deflate, self.inflate = zlib.compressobj(wbits=-15), zlib.decompressobj(wbits=-15)
        self.plain, self.packed = b"", 0

    def send(self, data):
        if self.deflate:
            data = self.deflate.compress(data) + self.deflate.flush(zlib.Z_SYNC_FLUSH)
        super().send(data)

    def fill(self):
        packed = self.sock.recv(65536)
        assert packed, "the server closed the connection"
        self.packed += len(packed)
        self.plain += self.inflate.decompress(packed)

    def read(self, size):
        if not self.deflate:
            return super().read(size)
        while len(self.plain) < size:
            self.fill()
        data, self.plain = self.plain[:size], self.plain[size:]
        return data

    def readline(self):
        if not self.deflate:
            return super().readline()
        while b"\n" not in self.plain:
            self.fill()
        return self.read(self.plain.index(b"\n") + 1)


def compressed():
    client = Packed(host, ports["imaps"], ssl_context=tls)
    client.login(alice["login"], alice["password"])
    assert "COMPRESS=DEFLATE" in client.capability()[1][0].decode()
    client.compress()
    assert "COMPRESS=DEFLATE" not in client.capability()[1][0].decode()
    count = int(client.select("INBOX")[1][0])
    clear = imaplib.IMAP4_SSL(host, ports["imaps"], ssl_context=tls)
    clear.login(alice["login"], alice["password"])
    clear.select("INBOX", readonly=True)
    octets = 0
    # All at once, then one by one, so that each side refers back over many flushes.
    for which in ["1:*"] + list(map(str, range(1, count + 1))):
        got, want = client.fetch(which, "(BODY.PEEK[])")[1], clear.fetch(which, "(BODY.PEEK[])")[1]
        assert got == want, which
        octets += sum(len(part[1]) for part in got if isinstance(part, tuple))
    assert client.packed < octets, (client.packed, octets)
    text = b"Subject: packed\r\n\r\n" + b"0123456789 packed\r\n" * 20000
    assert client.append("Drafts", None, None, text)[0] == "OK"
    clear.select("Drafts", readonly=True)
    assert clear.fetch("*", "(BODY.PEEK[])")[1][0][1] == text
    client.logout()
    clear.logout()


def send(subject, client, sender, to):
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender["login"], to["login"], subject
    message.set_content("Grüße\n.\n..dots\n")
    client.send_message(message)
    client.quit()


def smtp():
    with_scram = Scram(bob)
    for subject, login in [
        ("plain", lambda c: c.auth("PLAIN", c.auth_plain)),
        ("login", lambda c: c.auth("LOGIN", c.auth_login)),
        ("scram", lambda c: c.auth("SCRAM-SHA-256", lambda challenge=None: with_scram.first().decode() if challenge is None else with_scram.answer(challenge).decode())),
    ]:
        client = smtplib.SMTP(host, ports["submission"])
        client.starttls(context=tls)
        client.ehlo()
        client.user, client.password = bob["login"], bob["password"]
        code, text = login(client)
        assert code == 235, (subject, code, text)
        send("smtplib " + subject, client, bob, alice)
    client = smtplib.SMTP_SSL(host, ports["submissions"], context=tls)
    client.login(bob["login"], bob["password"])
    assert int(client.esmtp_features["size"]) == demo["max_message_size"]
    send("smtplib ssl", client, bob, alice)
    client = smtplib.SMTP(host, ports["smtp"])
    try:
        client.sendmail(bob["login"], ["x@example.org"], "Subject: relay\r\n\r\n")
        raise AssertionError("relayed without a login")
    except smtplib.SMTPRecipientsRefused as refused:
        assert refused.recipients["x@example.org"][0] == 550
    lmtp = smtplib.LMTP(host, ports["lmtp"])
    refused = lmtp.sendmail("x@example.org", [alice["login"], "nobody@demo.test"], "Subject: lmtp\r\n\r\nx\r\n")
    assert list(refused) == ["nobody@demo.test"], refused


def imap():
    client = imaplib.IMAP4_SSL(host, ports["imaps"], ssl_context=tls)
    client.login(alice["login"], alice["password"])
    assert client.list()[0] == "OK"
    status, (count,) = client.select("INBOX")
    assert (status, count) == ("OK", b"35"), (status, count)
    _, (found,) = client.search(None, "SUBJECT", '"smtplib plain"')
    (number,) = found.split()
    _, data = client.fetch(number, "(UID RFC822.SIZE BODY.PEEK[])")
    body = data[0][1]
    assert b"RFC822.SIZE %d" % len(body) in data[0][0], data[0][0]
    assert "Grüße\r\n.\r\n..dots\r\n".encode() in body or b"Gr=C3=BC=C3=9Fe\r\n.\r\n..dots" in body, body
    status, _ = client.append("Drafts", r"(\Draft \Seen)", None, b"Subject: by imaplib\r\n\r\nx\r\n")
    assert status == "OK"
    status, _ = client.uid("COPY", "1:3", "Archive")
    assert status == "OK"
    assert client.store("1:2", "+FLAGS", r"(\Deleted)")[0] == "OK"
    _, expunged = client.expunge()
    assert expunged in ([b"1", b"1"], [b"2", b"1"]), expunged
    _, (status,) = client.status("Archive", "(MESSAGES UNSEEN)")
    assert b"MESSAGES 3" in status, status
    client.close()
    client.logout()

    client = imaplib.IMAP4(host, ports["imap"])
    client.starttls(ssl_context=tls)
    scram = Scram(alice)
    client.authenticate("SCRAM-SHA-256", lambda challenge: scram.answer(challenge) if challenge else scram.first())
    _, (count,) = client.select("Drafts", readonly=True)
    assert count == b"1"
    client.logout()
    client = imaplib.IMAP4_SSL(host, ports["imaps"], ssl_context=tls)
    try:
        client.login(alice["login"], "wrong")
        raise AssertionError("logged in with a wrong password")
    except imaplib.IMAP4.error as error:
        assert "AUTHENTICATIONFAILED" in str(error), error


def pop3():
    client = poplib.POP3_SSL(host, ports["pop3s"], context=tls)
    client.user(alice["login"])
    client.pass_(alice["password"])
    count, size = client.stat()
    assert count == 33, count
    sizes = [int(line.split()[1]) for line in client.list()[1]]
    assert sum(sizes) == size
    for number in (1, 7, count):
        text = b"".join(line + b"\r\n" for line in client.retr(number)[1])
        assert len(text) == sizes[number - 1], (number, len(text), sizes[number - 1])
    assert len({line.split()[1] for line in client.uidl()[1]}) == count
    client.dele(count)
    client.rset()
    client.dele(1)
    client.quit()

    client = poplib.POP3(host, ports["pop3"])
    client.stls(context=tls)
    assert "SCRAM-SHA-256" in client.capa()["SASL"]
    scram = Scram(alice)
    # poplib has no AUTH: one command at a time.
    line = client._shortcmd("AUTH SCRAM-SHA-256 " + base64.b64encode(scram.first()).decode())
    while line.startswith(b"+ "):
        line = client._shortcmd(base64.b64encode(scram.answer(base64.b64decode(line[2:]))).decode())
    assert line.startswith(b"+OK"), line
    assert client.stat()[0] == 32, client.stat()
    client.quit()


smtp()
imap()
compressed()
pop3()
print("all good")
