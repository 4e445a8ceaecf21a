/** Every word of the chat, in English and Chinese. */

const english = {
  title: "Chat with us",
  subtitle: "We answer at once",
  greeting: "Hello! How can we help you today?",
  assistant: "Assistant",
  agent: "Customer service",
  you: "You",
  notice: "Notice",
  conversation: "Conversation",
  placeholder: "Write a message…",
  send: "Send",
  attach: "Attach a file",
  attachHint: "Pictures (JPEG, PNG, GIF, WebP), PDF or text, up to {limit}",
  wrongType: "“{name}” cannot be sent. Pictures (JPEG, PNG, GIF, WebP), PDF and text files can.",
  tooLarge: "“{name}” is too large: at most {limit}.",
  emptyFile: "“{name}” is empty.",
  uploadFailed: "“{name}” could not be sent. Try again in a moment.",
  uploading: "Sending “{name}”",
  sendFile: "Send file",
  removeFile: "Remove",
  menu: "More",
  close: "Close the chat",
  person: "Talk to a person",
  personAsked: "You asked for a person.",
  language: "中文",
  end: "End the chat",
  endQuestion: "End this chat?",
  endYes: "End it",
  endNo: "Keep chatting",
  queue: "A person will join you. You are number {position} in the queue.",
  queueNext: "A person will join you. You are next.",
  queueShut: "Nobody is at the desk right now. Leave your message here; a person will answer it.",
  withAgent: "You are talking to {name}",
  closed: "This chat has ended",
  offline: "You are offline. What you write is sent as soon as you are back.",
  refused: "We could not confirm who you are. Please sign in again; what you wrote is kept.",
  reconnecting: "Connecting…",
  waiting: "Waiting to be sent",
  sent: "Sent",
  failed: "Not sent",
  retry: "Try again",
  edit: "Edit",
  failedLong: "This message is too long.",
  failedOther: "This message was not accepted.",
  failedBusy: "That did not work. Please try again.",
  good: "Helpful",
  bad: "Not helpful",
  thanks: "Thank you!",
  rateQuestion: "How was this chat?",
  star: "{count} of 5 stars",
  comment: "Anything to add? (optional)",
  rate: "Send rating",
  rated: "Thank you for your rating.",
  restart: "Start a new chat",
  image: "Picture",
  openFile: "Open {name}",
  choices: "Suggested answers",
  cards: "Suggestions",
  latest: "Show the latest messages",
  bytes: "{count} bytes",
  kilobytes: "{count}\u00a0KB",
  megabytes: "{count}\u00a0MB",
};

export type Key = keyof typeof english;

const chinese: Record<Key, string> = {
  title: "在线客服",
  subtitle: "即时为您解答",
  greeting: "您好！请问有什么可以帮您？",
  assistant: "智能助手",
  agent: "人工客服",
  you: "您",
  notice: "提示",
  conversation: "对话",
  placeholder: "请输入消息…",
  send: "发送",
  attach: "添加附件",
  attachHint: "图片（JPEG、PNG、GIF、WebP）、PDF 或文本，不超过 {limit}",
  wrongType: "无法发送“{name}”。可以发送图片（JPEG、PNG、GIF、WebP）、PDF 和文本文件。",
  tooLarge: "“{name}”太大，最大 {limit}。",
  emptyFile: "“{name}”是空文件。",
  uploadFailed: "“{name}”发送失败，请稍后再试。",
  uploading: "正在发送“{name}”",
  sendFile: "发送文件",
  removeFile: "移除",
  menu: "更多",
  close: "关闭聊天窗口",
  person: "转人工客服",
  personAsked: "您已请求人工客服。",
  language: "English",
  end: "结束对话",
  endQuestion: "确定结束本次对话吗？",
  endYes: "结束",
  endNo: "继续对话",
  queue: "人工客服即将为您服务，您排在第 {position} 位。",
  queueNext: "人工客服即将为您服务，您是下一位。",
  queueShut: "现在没有客服在线。请留言，客服会尽快回复您。",
  withAgent: "{name} 正在为您服务",
  closed: "本次对话已结束",
  offline: "网络已断开。您的消息会在恢复连接后立即发送。",
  refused: "无法确认您的身份，请重新登录。您写的内容已保留。",
  reconnecting: "正在连接…",
  waiting: "等待发送",
  sent: "已发送",
  failed: "未发送",
  retry: "重试",
  edit: "修改",
  failedLong: "消息太长。",
  failedOther: "这条消息未被接受。",
  failedBusy: "操作没有成功，请重试。",
  good: "有帮助",
  bad: "没有帮助",
  thanks: "谢谢！",
  rateQuestion: "您对本次服务满意吗？",
  star: "{count} 星，共 5 星",
  comment: "还有想说的吗？（选填）",
  rate: "提交评价",
  rated: "感谢您的评价。",
  restart: "开始新的对话",
  image: "图片",
  openFile: "打开 {name}",
  choices: "建议的回答",
  cards: "推荐",
  latest: "查看最新消息",
  bytes: "{count} 字节",
  kilobytes: "{count} KB",
  megabytes: "{count} MB",
};

const RIGHT_TO_LEFT = new Set(["ar", "dv", "fa", "he", "ks", "ku", "ps", "sd", "ug", "ur", "yi"]);

/** A language tag that both Intl and the gateway take, without extensions; "en" for what is none. */
function tagOf(locale: string): string {
  try {
    const tag = new Intl.Locale(locale.replace(/_/g, "-")).baseName.split("-").slice(0, 4).join("-");
    return /^[a-z]{2,3}(-|$)/.test(tag) ? tag : "en";
  } catch {
    return "en";
  }
}

/** The words of one locale; English where there is no translation. */
export class Texts {
  readonly locale: string;
  private readonly words: Record<Key, string>;

  constructor(locale: string) {
    this.locale = tagOf(locale);
    this.words = this.isChinese ? chinese : english;
  }

  get isChinese(): boolean {
    return this.locale.toLowerCase().startsWith("zh");
  }

  /** The language that the words are in, for the `lang` attribute. */
  get language(): string {
    return this.isChinese ? "zh-CN" : "en";
  }

  get direction(): "ltr" | "rtl" {
    return RIGHT_TO_LEFT.has(this.locale.split("-")[0]?.toLowerCase() ?? "") ? "rtl" : "ltr";
  }

  say(key: Key, values: Record<string, string | number> = {}): string {
    return this.words[key].replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ""));
  }

  time(iso: string): string {
    const at = new Date(iso);
    if (Number.isNaN(at.getTime())) return "";
    const today = at.toDateString() === new Date().toDateString();
    const options: Intl.DateTimeFormatOptions = today
      ? { hour: "2-digit", minute: "2-digit" }
      : { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" };
    return new Intl.DateTimeFormat(this.locale, options).format(at);
  }

  size(bytes: number): string {
    if (bytes < 1000) return this.say("bytes", { count: bytes });
    if (bytes < 1_000_000) return this.say("kilobytes", { count: Math.round(bytes / 1000) });
    return this.say("megabytes", { count: Math.round(bytes / 100_000) / 10 });
  }
}
