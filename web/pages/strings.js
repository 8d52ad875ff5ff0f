/**
 * Every word that the widget and the console show, in each language. A text that depends on {count}
 * has one form for each plural of its language.
 */

const en = {
  // widget
  title: "Chat with us",
  greeting: "Hi! How can we help? Send us a message and someone from our team will reply here.",
  open: "Open chat",
  openUnread: "Open chat, {count} unread",
  minimize: "Minimize chat",
  yourName: "Your name",
  nameNeeded: "Please enter your name.",
  nameTooLong: "Your name is too long: {count} of {most} characters.",
  firstMessage: "Your message",
  messageNeeded: "Please enter a message.",
  startChat: "Start chat",
  starting: "Starting…",
  soundOn: "Turn sound on",
  soundOff: "Turn sound off",
  newChat: "Start a new chat",
  titleUnread: { one: "({count}) New message", other: "({count}) New messages" },
  // what the state line of a visitor says
  connecting: "Connecting…",
  waiting: "An agent will be with you shortly. Feel free to add details.",
  connectedWith: "You’re chatting with {name}",
  offline: "Connection lost. Reconnecting…",
  ended: "This chat ended because there were no new messages. You can start a new one anytime.",
  closed: "This chat is no longer available.",
  tooManyTabs: "This chat is open in too many tabs. Close some of them to continue here.",
  endsIn: "This chat will end in {time} unless someone writes.",
  // a conversation
  messages: "Messages",
  message: "Message",
  writeHere: "Type a message…",
  send: "Send",
  keys: "Enter to send, Shift+Enter for a new line",
  keysTouch: "Enter for a new line, Ctrl+Enter to send",
  you: "You",
  agent: "Agent",
  sent: "Sent",
  delivered: "Delivered",
  read: "Read",
  typing: "{name} is typing…",
  notYetSent: "Still typing. Not sent yet.",
  sending: "Sending…",
  unsentOffline: "Will be sent when you’re back online",
  notSent: "Not sent. {reason}",
  tryAgain: "Try again",
  discard: "Discard",
  earlier: "Show earlier messages",
  newer: "New messages",
  tooLong: "Your message is too long: {count} of {most} characters.",
  empty: "No messages yet",
  blank: "Empty message",
  announce: "{name}: {text}",
  // reasons
  bad_username: "This name can’t be used. Please enter a name of up to 64 characters.",
  unauthorized: "Your session on this site has expired. Please reload the page.",
  unreachable: "We can’t reach the chat right now. Please check your connection and try again.",
  unavailable: "The chat isn’t available right now. Please try again in a moment.",
  rate_limited: "Too many attempts. Please wait a moment and try again.",
  expired: "The chat has ended.",
  too_large: "The message is too long.",
  chat_full: "This chat is full.",
  already_taken: "Another agent has taken this chat.",
  forbidden: "You don’t have access to this chat.",
  other: "Something went wrong.",
  // console
  console: "Support console",
  signIn: "Your name, as visitors will see it",
  signInToken: "Access token (ask your administrator)",
  tokenRefused: "This token is invalid or has expired. Please enter a new one.",
  startWork: "Sign in",
  askNotify: "Your browser may ask for permission to notify you about new visitors.",
  lobbyReady: "Online",
  lobbyConnecting: "Connecting…",
  lobbyOffline: "Offline. Reconnecting…",
  lobbyClosed: "The server refused the connection.",
  reconnect: "Reconnect",
  queue: "Waiting",
  nobody: "No one is waiting.",
  nobodyHint: "Visitors who start a chat appear here.",
  waits: "Waiting for {time}",
  waitsAtLeast: "Waiting for {time} or longer",
  take: "Take",
  takeUser: "Take the chat with {name}",
  verified: "Verified",
  verifiedHint: "Your site has confirmed this visitor’s identity",
  lost: "Another agent has just taken the chat with {name}.",
  conversations: "Conversations",
  none: "No conversations yet.",
  noneHint: "Chats that you take appear here.",
  choose: "Select a conversation, or take a waiting visitor.",
  unread: "{count} unread",
  stateConnecting: "Connecting…",
  stateConnected: "Connected",
  stateOffline: "Offline. Reconnecting…",
  stateEnded: "Ended",
  stateClosed: "No access",
  expiresIn: "Ends in {time} unless someone writes",
  endedAgent: "This chat ended because there were no new messages.",
  leave: "Leave",
  leaveName: "Leave the conversation with {name}",
  leaveAsk: "Leave this conversation? {name} will be without an agent, and the chat will end if no one writes.",
  stay: "Stay",
  close: "Close",
  closeName: "Close the conversation with {name}",
  back: "Back to conversations",
  replies: "Canned replies",
  repliesEdit: "Edit replies",
  repliesHint: "One reply per line. Saved in this browser only.",
  repliesNone: "No replies yet.",
  save: "Save",
  cancel: "Cancel",
  notifyOn: "Turn notifications on",
  notifyOff: "Turn notifications off",
  notifyDenied: "Your browser is blocking notifications from this page.",
  help: "Keyboard shortcuts",
  keyNext: "Next conversation",
  keyPrevious: "Previous conversation",
  keyClaim: "Take the visitor who has waited longest",
  keyComposer: "Go to the message field",
  keyReplies: "Canned replies",
  newVisitor: "New visitor",
  newVisitorText: "{name} is waiting.",
  reply1: "Hi! How can I help you?",
  reply2: "One moment, please. I’m looking into it.",
  reply3: "Is there anything else I can help you with?",
  // a token that runs out, the account, what stays
  tokenSoon: "Your access token expires at {time}. Enter a new one to keep working.",
  tokenOver: "Your access token has expired. Enter a new one to continue. Your conversations and drafts are kept.",
  tokenNew: "New access token",
  tokenUse: "Continue",
  tokenLater: "Later",
  noToken: "Access token expired",
  account: "Account",
  renameHint: "Visitors will see the new name in chats that you take from now on.",
  signOut: "Sign out",
  signOutHint: "If you sign out, your visitors stay without an agent. Your conversations return when you sign in again in this browser.",
  dismiss: "Dismiss",
  backCount: "Back to conversations. Waiting or unread: {count}",
  stateTaken: "Taken by another agent",
  keyLeave: "Leave the message field",
  keysApple: "While you type, hold Control as well (⌃ ⌥).",
};

const ar = {
  title: "تحدّث معنا",
  greeting: "مرحبًا! كيف يمكننا مساعدتك؟ أرسل لنا رسالة وسيردّ عليك أحد أعضاء فريقنا هنا.",
  open: "فتح المحادثة",
  openUnread: "فتح المحادثة، غير المقروء: {count}",
  minimize: "تصغير المحادثة",
  yourName: "اسمك",
  nameNeeded: "أدخل اسمك من فضلك.",
  nameTooLong: "اسمك طويل جدًا: {count} من {most} حرف.",
  firstMessage: "رسالتك",
  messageNeeded: "أدخل رسالة من فضلك.",
  startChat: "بدء المحادثة",
  starting: "جارٍ البدء…",
  soundOn: "تشغيل الصوت",
  soundOff: "إيقاف الصوت",
  newChat: "بدء محادثة جديدة",
  titleUnread: { one: "({count}) رسالة جديدة", two: "({count}) رسالتان جديدتان", few: "({count}) رسائل جديدة", other: "({count}) رسالة جديدة" },
  connecting: "جارٍ الاتصال…",
  waiting: "سيكون أحد الموظفين معك قريبًا. يمكنك إضافة المزيد من التفاصيل.",
  connectedWith: "أنت تتحدّث مع {name}",
  offline: "انقطع الاتصال. جارٍ إعادة الاتصال…",
  ended: "انتهت هذه المحادثة لعدم وجود رسائل جديدة. يمكنك بدء محادثة جديدة في أي وقت.",
  closed: "لم تعد هذه المحادثة متاحة.",
  tooManyTabs: "هذه المحادثة مفتوحة في علامات تبويب كثيرة. أغلق بعضها للمتابعة هنا.",
  endsIn: "ستنتهي هذه المحادثة خلال {time} ما لم يكتب أحد.",
  messages: "الرسائل",
  message: "الرسالة",
  writeHere: "اكتب رسالة…",
  send: "إرسال",
  keys: "Enter للإرسال، وShift+Enter لسطر جديد",
  keysTouch: "Enter لسطر جديد، وCtrl+Enter للإرسال",
  you: "أنت",
  agent: "الموظف",
  sent: "تم الإرسال",
  delivered: "تم التسليم",
  read: "تمت القراءة",
  typing: "يكتب {name}…",
  notYetSent: "ما زالت الكتابة جارية. لم تُرسل بعد.",
  sending: "جارٍ الإرسال…",
  unsentOffline: "ستُرسل عند عودة الاتصال",
  notSent: "لم تُرسل. {reason}",
  tryAgain: "إعادة المحاولة",
  discard: "تجاهل",
  earlier: "عرض الرسائل السابقة",
  newer: "رسائل جديدة",
  tooLong: "رسالتك طويلة جدًا: {count} من {most} حرف.",
  empty: "لا توجد رسائل بعد",
  blank: "رسالة فارغة",
  announce: "{name}: {text}",
  bad_username: "لا يمكن استخدام هذا الاسم. أدخل اسمًا لا يزيد على 64 حرفًا.",
  unauthorized: "انتهت جلستك في هذا الموقع. أعد تحميل الصفحة من فضلك.",
  unreachable: "لا يمكننا الوصول إلى المحادثة الآن. تحقق من اتصالك وحاول مرة أخرى.",
  unavailable: "المحادثة غير متاحة الآن. حاول مرة أخرى بعد قليل.",
  rate_limited: "محاولات كثيرة جدًا. انتظر قليلًا ثم حاول مرة أخرى.",
  expired: "انتهت المحادثة.",
  too_large: "الرسالة طويلة جدًا.",
  chat_full: "هذه المحادثة ممتلئة.",
  already_taken: "استلم موظف آخر هذه المحادثة.",
  forbidden: "ليس لديك إذن للوصول إلى هذه المحادثة.",
  other: "حدث خطأ ما.",
  console: "لوحة الدعم",
  signIn: "اسمك كما سيراه الزوار",
  signInToken: "رمز الدخول (اطلبه من المسؤول)",
  tokenRefused: "هذا الرمز غير صالح أو انتهت صلاحيته. أدخل رمزًا جديدًا من فضلك.",
  startWork: "تسجيل الدخول",
  askNotify: "قد يطلب المتصفح إذنك لإشعارك بالزوار الجدد.",
  lobbyReady: "متصل",
  lobbyConnecting: "جارٍ الاتصال…",
  lobbyOffline: "غير متصل. جارٍ إعادة الاتصال…",
  lobbyClosed: "رفض الخادم الاتصال.",
  reconnect: "إعادة الاتصال",
  queue: "في الانتظار",
  nobody: "لا أحد في الانتظار.",
  nobodyHint: "يظهر هنا الزوار الذين يبدؤون محادثة.",
  waits: "ينتظر منذ {time}",
  waitsAtLeast: "ينتظر منذ {time} أو أكثر",
  take: "استلام",
  takeUser: "استلام المحادثة مع {name}",
  verified: "هوية مؤكّدة",
  verifiedHint: "أكّد موقعك هوية هذا الزائر",
  lost: "استلم موظف آخر المحادثة مع {name} قبل لحظات.",
  conversations: "المحادثات",
  none: "لا توجد محادثات بعد.",
  noneHint: "تظهر هنا المحادثات التي تستلمها.",
  choose: "اختر محادثة، أو استلم زائرًا من المنتظرين.",
  unread: "غير المقروء: {count}",
  stateConnecting: "جارٍ الاتصال…",
  stateConnected: "متصل",
  stateOffline: "غير متصل. جارٍ إعادة الاتصال…",
  stateEnded: "انتهت",
  stateClosed: "لا إذن بالوصول",
  expiresIn: "تنتهي خلال {time} ما لم يكتب أحد",
  endedAgent: "انتهت هذه المحادثة لعدم وجود رسائل جديدة.",
  leave: "مغادرة",
  leaveName: "مغادرة المحادثة مع {name}",
  leaveAsk: "هل تريد مغادرة هذه المحادثة؟ سيبقى {name} بلا موظف، وستنتهي المحادثة ما لم يكتب أحد.",
  stay: "البقاء",
  close: "إغلاق",
  closeName: "إغلاق المحادثة مع {name}",
  back: "العودة إلى المحادثات",
  replies: "ردود جاهزة",
  repliesEdit: "تعديل الردود",
  repliesHint: "ردّ واحد في كل سطر. تُحفظ الردود في هذا المتصفح فقط.",
  repliesNone: "لا توجد ردود بعد.",
  save: "حفظ",
  cancel: "إلغاء",
  notifyOn: "تشغيل الإشعارات",
  notifyOff: "إيقاف الإشعارات",
  notifyDenied: "يحظر متصفحك الإشعارات من هذه الصفحة.",
  help: "اختصارات لوحة المفاتيح",
  keyNext: "المحادثة التالية",
  keyPrevious: "المحادثة السابقة",
  keyClaim: "استلام الزائر صاحب أطول انتظار",
  keyComposer: "الانتقال إلى حقل الرسالة",
  keyReplies: "ردود جاهزة",
  newVisitor: "زائر جديد",
  newVisitorText: "{name} في الانتظار.",
  reply1: "مرحبًا! كيف يمكنني مساعدتك؟",
  reply2: "لحظة من فضلك، أتحقق من الأمر.",
  reply3: "هل يمكنني مساعدتك في شيء آخر؟",
  tokenSoon: "تنتهي صلاحية رمز الدخول الساعة {time}. أدخل رمزًا جديدًا لمواصلة العمل.",
  tokenOver: "انتهت صلاحية رمز الدخول. أدخل رمزًا جديدًا للمتابعة. محادثاتك ومسوداتك محفوظة.",
  tokenNew: "رمز دخول جديد",
  tokenUse: "متابعة",
  tokenLater: "لاحقًا",
  noToken: "انتهت صلاحية رمز الدخول",
  account: "الحساب",
  renameHint: "يرى الزوار الاسم الجديد في المحادثات التي تستلمها من الآن.",
  signOut: "تسجيل الخروج",
  signOutHint: "إذا سجّلت الخروج فسيبقى زوارك بلا موظف. تعود محادثاتك عندما تسجّل الدخول من جديد في هذا المتصفح.",
  dismiss: "إخفاء",
  backCount: "العودة إلى القوائم. في الانتظار أو غير مقروء: {count}",
  stateTaken: "استلمها موظف آخر",
  keyLeave: "مغادرة حقل الرسالة",
  keysApple: "أثناء الكتابة اضغط Control أيضًا (⌃ ⌥).",
};

/** @type {Record<string, {dir: "ltr"|"rtl", words: typeof en}>} */
export const languages = { en: { dir: "ltr", words: en }, ar: { dir: "rtl", words: ar } };

/** Text that runs from right to left. */
const RTL = /[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}\p{Script=Adlam}]/u;

/**
 * Chooses the first of the wanted languages that there is.
 * @param {(string|null|undefined)[]} wanted such as ["ar-EG", "en"]
 * @returns {{lang: string, dir: "ltr"|"rtl", t: (key: keyof typeof en, values?: object) => string}}
 */
export function speak(...wanted) {
  const lang = wanted.map(primary).find((one) => languages[one]) ?? "en";
  const { dir, words } = languages[lang];
  const numbers = new Intl.NumberFormat(readersLocale(lang));
  const plurals = new Intl.PluralRules(lang);
  const write = (value) => {
    if (typeof value === "number") return numbers.format(value);
    // What runs the other way must not pull the sentence around it apart.
    return dir === "ltr" && !RTL.test(value) ? value : `\u2068${value}\u2069`;
  };
  const t = (key, values = {}) => {
    const form = typeof words[key] === "string" ? words[key] : words[key][plurals.select(values.count)] ?? words[key].other;
    return form.replace(/\{(\w+)\}/g, (_, name) => write(values[name]));
  };
  return { lang, dir, t };
}

function primary(tag) {
  return (tag ?? "").toLowerCase().split("-")[0];
}

/**
 * How the reader writes numbers, times and dates: the browser's own form of the page's language, such
 * as en-GB, or the page's language in the browser's region: en-DE.
 * @param {string} lang of the page
 */
export function readersLocale(lang) {
  const own = navigator.languages.find((one) => primary(one) === lang);
  if (own) return own;
  try {
    return new Intl.Locale(lang, { region: new Intl.Locale(navigator.language).maximize().region }).toString();
  } catch {
    return lang; // the browser names no language
  }
}

/** The sentence for a code of the protocol. */
export function reason(t, code) {
  const known = ["bad_username", "unauthorized", "unreachable", "unavailable", "rate_limited", "expired", "too_large", "chat_full", "already_taken", "forbidden"];
  return t(known.includes(code) ? code : "other");
}
