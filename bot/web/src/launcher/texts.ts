/** The launcher's few words. */

export interface Words {
  chat: string;
  open: string;
  close: string;
  unread: (count: number) => string;
}

const english: Words = {
  chat: "Chat",
  open: "Open the chat",
  close: "Close the chat",
  unread: (count) => (count === 1 ? "1 new message" : `${count} new messages`),
};

const chinese: Words = {
  chat: "在线客服",
  open: "打开聊天窗口",
  close: "关闭聊天窗口",
  unread: (count) => `${count} 条新消息`,
};

export function wordsOf(locale: string): Words {
  return locale.toLowerCase().startsWith("zh") ? chinese : english;
}
