/** What the gateway says, and what the chat keeps of it. */

export type Status = "bot" | "waiting" | "agent" | "closed";
export type Author = "customer" | "bot" | "agent" | "system";

export interface Button {
  title: string;
  payload?: string;
  url?: string;
}

export interface Attachment {
  id?: string;
  kind?: string;
  name?: string;
  content_type?: string;
  size?: number;
  url?: string;
}

export interface Card {
  title?: string;
  subtitle?: string;
  image?: string;
  buttons?: Button[];
}

/** A message as GET .../messages shows it. */
export interface Message {
  id: string;
  seq: number;
  direction: "in" | "out";
  text: string | null;
  created_at: string;
  state?: string;
  author?: Author;
  agent_name?: string | null;
  title?: string | null;
  buttons?: Button[];
  image?: string;
  custom?: { cards?: Card[] } & Record<string, unknown>;
  attachments?: Attachment[];
  feedback?: 1 | -1 | null;
}

export interface Queue {
  position: number;
  open: boolean;
}

export interface Page {
  status: Status;
  messages: Message[];
  next_after: number;
  queue?: Queue | null;
  rating?: number | null;
}

/** The customer's access to one conversation. */
export interface Session {
  id: string;
  token: string;
  /** Sequence number of the last message that was on screen. */
  seen: number;
  /** Who was signed in when it was opened; null for an anonymous visitor. */
  customer: string | null;
  /** The language that the gateway was told. */
  locale?: string;
}

/** A message that the gateway has not acknowledged yet. */
export interface Pending {
  id: string;
  text: string;
  title?: string;
  attachments?: Attachment[];
  at: string;
  /** Who wrote it, as in Session. */
  customer?: string | null;
  failed?: string;
}

/** One line of the conversation on screen. */
export interface Line {
  key: string;
  id: string;
  seq: number | null;
  author: Author;
  agentName: string | null;
  text: string;
  at: string;
  buttons: Button[];
  cards: Card[];
  image: string | null;
  attachments: Attachment[];
  /** undefined: nothing to judge. */
  feedback: 1 | -1 | null | undefined;
  delivery: "sent" | "waiting" | "failed" | null;
  failure: string | null;
}
