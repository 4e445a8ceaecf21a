/** The chat page: wires storage, gateway, messages and the page around them together. */

import type { Identity, Look, ToChat } from "../protocol";
import { Api } from "./api";
import { Bridge } from "./bridge";
import { Conversation } from "./conversation";
import { Ending } from "./ending";
import { applyLook } from "./look";
import { Shell } from "./shell";
import { Storage } from "./storage";
import { Texts } from "./texts";
import { Transcript } from "./transcript";
import { Tray } from "./tray";

const HELLO_MS = 3000;

async function start(): Promise<void> {
  const app = document.querySelector<HTMLElement>("#app");
  if (!app) return;
  const base = new URL("../", location.href);
  const storage = new Storage((key, value) => bridge.say({ type: "keep", key, value }));
  const query = new URLSearchParams(location.search);
  const greeted = Promise.withResolvers<{ identity: Identity | null | undefined }>();
  const resumed = Promise.withResolvers<void>();
  let started = false;
  let shown = window.parent === window;
  let look: Look = {
    locale: query.get("locale") ?? navigator.language,
    theme: "auto",
    title: "",
    subtitle: "",
    greeting: "",
    vars: {},
  };
  let texts = new Texts(storage.locale ?? look.locale);

  const api = new Api(new URL("api/v1/", base));
  const conversation = new Conversation(api, base, storage, {
    changed: () => draw(),
    arrived: (messages) => {
      shell.announce(messages);
      for (const { id, text, author } of messages) tell("message", { id, text, author: author ?? "bot" });
    },
    refused: ({ status, message }) => tell("refused", { status, message }),
  });
  const bridge = new Bridge(receive);
  if (bridge.embedded) await Promise.race([greeted.promise, new Promise((resolve) => setTimeout(resolve, HELLO_MS))]);

  const shell = new Shell(app, texts, {
    close: () => bridge.say({ type: "close" }),
    person: () => conversation.askForPerson(),
    language: () => {
      storage.locale = texts.isChinese ? "en" : "zh-CN";
      speak(storage.locale);
    },
    end: async () => {
      await conversation.close();
      ending.element.querySelector("input")?.focus();
    },
  });
  const transcript = new Transcript(shell.main, texts, {
    submit: (text) => conversation.say(text),
    input: () => conversation.typed(),
    press: (button) => {
      conversation.say(button.payload ?? button.title, button.title);
      transcript.focus();
    },
    judge: (line, score) =>
      void conversation.judge(line.id, score).then(
        () => shell.announceText(texts.say("thanks")),
        () => shell.announceText(texts.say("failedBusy")),
      ),
    retry: (line) => conversation.retry(line.id),
    edit: (line) => {
      conversation.discard(line.id);
      transcript.write(line.text);
    },
    grown: () => transcript.toBottom(),
    attach: (files) => files[0] && tray.offer(files[0]),
  });
  const limit = Number(document.documentElement.dataset.maxFileBytes) || 5_000_000;
  const tray = new Tray(
    texts,
    limit,
    async (file, onProgress) => conversation.say("", undefined, [await conversation.upload(file, onProgress)]),
    () => transcript.focus(),
  );
  const ending = new Ending(
    async (stars, comment) => {
      await conversation.rate(stars, comment);
      tell("rated", { rating: stars });
    },
    () => {
      conversation.restart();
      transcript.focus();
    },
  );
  shell.bottom.append(tray.element, ending.element);
  if (bridge.embedded) shell.embedded();
  await transcript.ready();
  started = true;
  speak(storage.locale ?? look.locale);

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.isComposing && !shell.dismiss()) bridge.say({ type: "close" });
  });
  for (const name of ["online", "offline"]) window.addEventListener(name, draw);
  document.addEventListener("visibilitychange", draw);
  if (shown) transcript.focus();
  const identity = bridge.embedded ? (await greeted.promise).identity : undefined;
  const resuming = conversation.resume(identity, texts.locale);
  resumed.resolve();
  await resuming;
  document.documentElement.dataset.ready = "";

  function receive(message: ToChat): void {
    if (message.type === "hello") storage.restore(message.kept);
    if (message.type === "hello" || message.type === "look") {
      // A page that names another language means it; new colours leave the customer's choice alone.
      if (message.type === "look" && message.look.locale !== look.locale) storage.locale = null;
      look = message.look;
      applyLook(look);
      speak(storage.locale ?? look.locale);
    }
    if (message.type === "hello") greeted.resolve({ identity: message.identity });
    else if (message.type === "identify") void resumed.promise.then(() => conversation.identify(message.identity));
    else if (message.type === "shown") {
      shown = message.shown;
      document.documentElement.toggleAttribute("data-full", message.full);
      if (!started) return;
      if (shown) {
        transcript.toBottom();
        transcript.focus();
      }
      draw();
    }
  }

  function speak(locale: string): void {
    texts = new Texts(locale);
    document.documentElement.lang = texts.language;
    document.documentElement.dir = texts.direction;
    document.title = look.title || texts.say("title");
    conversation.setLocale(texts.locale);
    if (!started) return;
    transcript.label(texts);
    tray.label(texts);
    draw();
  }

  function draw(): void {
    if (!started) return;
    const lines = conversation.lines();
    shell.draw(conversation, texts, look);
    transcript.show(lines, look.greeting || texts.say("greeting"));
    transcript.setTyping(conversation.typing !== null);
    transcript.setOpen(conversation.status !== "closed");
    ending.show(conversation.status === "closed", conversation.rating, texts);
    if (shown && document.visibilityState === "visible") conversation.markSeen();
    bridge.say({ type: "unread", count: shown ? 0 : conversation.unread });
    bridge.say({ type: "conversation", exists: conversation.exists });
  }

  function tell(name: string, detail: Record<string, unknown>): void {
    bridge.say({ type: "event", name, detail });
  }
}

void start();
