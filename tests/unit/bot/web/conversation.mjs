/** Whose messages go where: the chat's conversation against a gateway that does what it is told. */

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { ApiError } from "../../../../bot/web/src/chat/api";
import { Conversation } from "../../../../bot/web/src/chat/conversation";
import { Storage } from "../../../../bot/web/src/chat/storage";
import { Texts } from "../../../../bot/web/src/chat/texts";

const ALICE = { user_id: "alice", hmac: "a" };
const BOB = { user_id: "bob", hmac: "b" };
const kept = new Map();
globalThis.localStorage = {
  getItem: (key) => kept.get(key) ?? null,
  setItem: (key, value) => kept.set(key, value),
  removeItem: (key) => kept.delete(key),
};
globalThis.window = { addEventListener: () => undefined };
globalThis.document = { addEventListener: () => undefined, visibilityState: "visible" };
globalThis.setTimeout = () => 0;

afterEach(() => kept.clear());

/** Lets all that is under way come to rest. */
const settle = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

class Gateway {
  opened = [];
  sent = [];
  locales = [];
  refuses = null;
  status = "bot";
  unknown = new Set();
  gate = null;

  async open(identity) {
    const who = identity?.user_id ?? "anonymous";
    this.opened.push(who);
    await this.gate;
    if (this.refuses) throw this.refuses;
    return { conversation_id: who, token: `token ${this.opened.length}` };
  }

  async send(session, { text }) {
    await this.sending;
    if (this.offline) throw new ApiError(0, "no answer");
    this.sent.push([session.id, text]);
    return { message: { seq: this.sent.length } };
  }

  async page(session) {
    if (this.unknown.has(session.token)) throw new ApiError(401, "expired");
    return { status: this.status, messages: [], next_after: 0 };
  }

  async askForPerson(session) {
    if (this.unknown.has(session.token)) throw new ApiError(401, "expired");
    this.status = "waiting";
    return { status: this.status };
  }

  async setLocale(session, locale) {
    this.locales.push([session.id, locale]);
  }
}

function visit(gateway) {
  const refused = [];
  const events = { changed: () => undefined, arrived: () => undefined, refused: ({ status }) => refused.push(status) };
  const storage = new Storage(() => undefined);
  const conversation = new Conversation(gateway, new URL("http://chat.example/"), storage, events);
  return { conversation, refused };
}

test("a refused identity is told once, not tried for ever, and a new one sends what waits", async () => {
  const gateway = new Gateway();
  gateway.refuses = new ApiError(401, "it has expired");
  const { conversation, refused } = visit(gateway);
  await conversation.resume(undefined, "en");
  await conversation.identify(ALICE);
  conversation.say("hello");
  await settle();
  const tries = gateway.opened.length;
  await settle();
  assert.equal(gateway.opened.length, tries);
  assert.equal(conversation.refused, true);
  assert.equal(refused[0], 401);
  assert.deepEqual(conversation.lines().map((line) => line.delivery), ["waiting"]);
  gateway.refuses = null;
  await conversation.identify({ user_id: "alice", hmac: "another" });
  await settle();
  assert.equal(conversation.refused, false);
  assert.deepEqual(gateway.sent, [["alice", "hello"]]);
});

test("what one customer wrote offline never goes into the conversation of the next", async () => {
  const gateway = new Gateway();
  gateway.offline = true;
  const first = visit(gateway).conversation;
  await first.resume(ALICE, "en");
  first.say("my secret");
  await settle();
  gateway.offline = false;
  const second = visit(gateway).conversation;
  await second.resume(BOB, "en");
  await settle();
  assert.deepEqual(gateway.sent, []);
  assert.deepEqual(second.lines(), []);
});

test("a page that tells late who is signed in loses nothing", async () => {
  const gateway = new Gateway();
  gateway.offline = true;
  const before = visit(gateway).conversation;
  await before.resume(ALICE, "en");
  before.say("still here");
  await settle();
  const after = visit(gateway).conversation;
  await after.resume(undefined, "en");
  await after.identify(ALICE);
  assert.deepEqual(after.lines().map((line) => line.text), ["still here"]);
});

test("who signs in while a conversation opens gets no one else's", async () => {
  const gateway = new Gateway();
  const { conversation } = visit(gateway);
  await conversation.resume(undefined, "en");
  let go;
  gateway.gate = new Promise((resolve) => (go = resolve));
  const bob = conversation.identify(BOB);
  const alice = conversation.identify(ALICE);
  go();
  await Promise.all([bob, alice]);
  conversation.say("it is me");
  await settle();
  assert.deepEqual(gateway.sent, [["alice", "it is me"]]);
});

test("a message that was on its way at signing out is not on the next one's screen", async () => {
  const gateway = new Gateway();
  const { conversation } = visit(gateway);
  await conversation.resume(ALICE, "en");
  let go;
  gateway.sending = new Promise((resolve) => (go = resolve));
  conversation.say("mine");
  await settle();
  await conversation.identify(BOB);
  go();
  await settle();
  assert.deepEqual(conversation.lines(), []);
});

test("with an expired token a signed-in customer gets a new one", async () => {
  const gateway = new Gateway();
  await visit(gateway).conversation.resume(ALICE, "en");
  gateway.unknown.add("token 1");
  const { conversation } = visit(gateway);
  await conversation.resume(ALICE, "en");
  assert.deepEqual(gateway.opened, ["alice", "alice"]);
  gateway.unknown.add("token 2");
  await conversation.askForPerson();
  assert.equal(conversation.status, "waiting");
  assert.equal(gateway.opened.length, 3);
});

test("the gateway is told of another language, once", async () => {
  const gateway = new Gateway();
  const { conversation } = visit(gateway);
  await conversation.resume(ALICE, "en");
  conversation.setLocale("zh-CN");
  await settle();
  const later = visit(gateway).conversation;
  await later.resume(ALICE, "zh-CN");
  await settle();
  assert.deepEqual(gateway.locales, [["alice", "zh-CN"]]);
});

test("every locale becomes one that the gateway and Intl take", () => {
  const tags = { zh_CN: "zh-CN", "de-DE-u-co-phonebk": "de-DE", "en-12": "en", "x-none": "en", "": "en", EN: "en" };
  for (const [named, taken] of Object.entries(tags)) {
    assert.equal(new Texts(named).locale, taken);
    assert.ok(new Texts(named).time("2026-01-01T00:00:00Z"));
  }
});
