// imapflow, the IMAP client of Node programs, against a demo server: its object (--json) is the first argument.
// It enables everything that the server offers (CONDSTORE, QRESYNC, IMAP4rev2, UTF8=ACCEPT, COMPRESS), as its users' programs do.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const { ImapFlow } = createRequire(process.env.NODE_PATH + '/')('imapflow');
const demo = JSON.parse(process.argv[2]);
const alice = demo.users[0];

async function connect() {
    const client = new ImapFlow({
        host: 'localhost',
        port: demo.ports.imaps,
        secure: true,
        tls: { ca: readFileSync(demo.ca) },
        auth: { user: alice.login, pass: alice.password },
        qresync: true,
        logger: false
    });
    await client.connect();
    return client;
}

function event(client, name, when = () => true) {
    return new Promise((resolve, reject) => {
        const late = setTimeout(() => reject(new Error(`no event "${name}"`)), 20_000);
        client.on(name, what => {
            if (when(what)) {
                clearTimeout(late);
                resolve(what);
            }
        });
    });
}

const one = await connect();
for (const extension of ['CONDSTORE', 'QRESYNC', 'IMAP4REV2']) {
    assert(one.enabled.has(extension), `${extension} is not enabled, but ${[...one.enabled]}`);
}

// A mailbox whole: envelopes, structures, sizes, bodies.
let box = await one.mailboxOpen('INBOX');
assert.equal(box.exists, 30);
assert(box.highestModseq > 1_000_000_000_000_000n, `${box.highestModseq}`);
const all = await one.fetchAll('1:*', { uid: true, flags: true, envelope: true, bodyStructure: true, size: true, internalDate: true, modseq: true, source: true });
assert.equal(all.length, 30);
for (const message of all) {
    assert.equal(message.source.length, message.size, `UID ${message.uid}`);
    assert(message.envelope && message.bodyStructure && message.modseq <= box.highestModseq, `UID ${message.uid}`);
}

// Roles and folders with names of any script.
const roles = (await one.list()).map(folder => folder.specialUse).filter(Boolean).sort();
for (const role of ['\\Archive', '\\Drafts', '\\Junk', '\\Sent', '\\Trash']) {
    assert(roles.includes(role), `${role} in ${roles}`);
}
await one.mailboxCreate(['Reisen', '日本']);
const status = await one.status('Reisen/日本', { messages: true, uidNext: true, highestModseq: true });
assert.equal(status.messages, 0);

// A text that is not ASCII, put, found, and read again.
const text = 'From: a@demo.test\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMessage-ID: <imapflow@demo.test>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nSchöne Grüße\r\n';
const put = await one.append('Reisen/日本', Buffer.from(text), ['\\Seen', '$Forwarded'], new Date('2001-02-03T04:05:06Z'));
box = await one.mailboxOpen('Reisen/日本');
assert.deepEqual(await one.search({ subject: 'GRÜ' }, { uid: true }), [put.uid]);
assert.deepEqual(await one.search({ body: 'schöne' }, { uid: true }), [put.uid]);
const again = await one.fetchOne(String(put.uid), { source: true, flags: true, internalDate: true }, { uid: true });
assert.equal(again.source.toString(), text);
assert(again.flags.has('$Forwarded'));
assert.equal(new Date(again.internalDate).toISOString(), '2001-02-03T04:05:06.000Z');

// What another session does arrives by itself: arrival, flags, expunge as VANISHED.
box = await one.mailboxOpen('INBOX');
const known = { uidValidity: box.uidValidity, highestModseq: box.highestModseq };
const two = await connect();
await two.mailboxOpen('INBOX');
const idling = one.idle();
const exists = event(one, 'exists', what => what.count === 31);
const sent = await two.append('INBOX', Buffer.from('Subject: new\r\n\r\nx\r\n'));
await exists;
const flags = event(one, 'flags', what => what.uid === all[4].uid && what.flags.has('\\Flagged'));
await two.messageFlagsAdd(String(all[4].uid), ['\\Flagged'], { uid: true });
await flags;
const expunge = event(one, 'expunge', what => what.uid === all[0].uid && what.vanished);
await two.messageDelete(String(all[0].uid), { uid: true });
await expunge;
// STORE that comes too late changes nothing.
const late = await two.messageFlagsSet(String(all[4].uid), ['\\Answered'], { uid: true, unchangedSince: known.highestModseq });
const after = await two.fetchOne(String(all[4].uid), { flags: true }, { uid: true });
assert(after.flags.has('\\Flagged') && !after.flags.has('\\Answered'), `${late} ${[...after.flags]}`);
// A move keeps the message and says its new UID.
const moved = await two.messageMove(String(all[1].uid), 'Archive', { uid: true });
assert.equal(moved.uidMap.size, 1);
await two.logout();
await one.logout();
await idling.catch(() => {});

// A client that was away is told what it missed, and no more.
const three = new ImapFlow({ host: 'localhost', port: demo.ports.imaps, secure: true, tls: { ca: readFileSync(demo.ca) }, auth: { user: alice.login, pass: alice.password }, qresync: true, logger: false });
const vanished = [];
const changed = [];
three.on('expunge', what => vanished.push(what.uid));
three.on('flags', what => changed.push(what.uid));
await three.connect();
await three.mailboxOpen('INBOX', { uidValidity: known.uidValidity, changedSince: known.highestModseq });
assert.deepEqual(vanished.sort((a, b) => a - b), [all[0].uid, all[1].uid]);
assert.deepEqual(changed.sort((a, b) => a - b), [all[4].uid, sent.uid]);
await three.mailboxDelete('Reisen/日本');
await three.logout();

console.log('all good');
