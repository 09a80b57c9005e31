/** All that crosses between the widget's Rust and the browser. Elements, roots and lists are numbers from 1 up; 0 is none. */

/** What the Rust calls (`widget/src/dom.rs`). None of it throws: `wasm.js` catches all. */
export interface Dom {
  /** A line for each option: its name, a blank, its default. */
  defaults(lines: string): void;
  /**
   * Compares the value of an option with a pattern. What the first parentheses capture, as a number: 0 if that is empty, NaN if they capture
   * nothing. -1 if the value does not match.
   */
  choice(pattern: string): number;
  /** A list of all that may be a link in a root; of the links that have a slot, all or those that are gone. */
  search(root: number): number;
  known(isGone: boolean): number;
  length(list: number): number;
  release(list: number): void;
  /** The slot of an element in a list; giving it one; taking it back. */
  slot(list: number, idx: number): number;
  keep(list: number, idx: number): number;
  discard(slot: number): void;
  isThere(slot: number): boolean;
  /** 0: no further from the viewport than `reach` of its heights; -1: above that; 1: below; 2: nowhere. */
  place(list: number, idx: number, reach: number): number;
  /** What `mean` said of this `href` in this root; 0: no link of ours; -1: nothing was said. */
  meaning(list: number, idx: number): number;
  /** The absolute address of the `href` that was just asked about, and where it leads. */
  address(): string;
  mean(key: number): void;
  forgetMeanings(): void;
  /** The root inside of an element that asks us to enter, once. */
  inner(list: number, idx: number): number;
  /** Observes a root, and gives it the stylesheet; takes both back. */
  open(root: number): void;
  isGone(root: number): boolean;
  close(root: number): void;
  adoptAll(): void;
  /** Makes the text for a count on a link. How long that is, where characters beyond ASCII count twice; 0: it comes later, see `worded`. */
  text(slot: number, viewers: number): number;
  /** Whether an attribute of ours (0: the count, 1: the label, 2: the place) is not what it should be, and not the page's own. */
  isOld(slot: number, attribute: number, count: number, place: number): boolean;
  /** Writes those that are old. Below 0 there is no count, and no place. */
  carry(slot: number, count: number, place: number): void;
  /** Has the browser work out the layout, and forgets all facts and the numbers of nodes. */
  fresh(): void;
  /** The number of a link among the nodes that can be asked about. */
  link(slot: number): number;
  /** A number of a kind that is known of a node (`widget/src/facts.rs`); not a number after the last one. */
  fact(kind: number, node: number, idx: number): number;
  /** What the pointer would meet at a spot, in the root of a node. */
  at(node: number, x: number, y: number): number;
  /** What `compareDocumentPosition` says. */
  relation(node: number, other: number): number;
  /** Dispatches the link's event. */
  tell(slot: number, viewers: number): void;
  /** Whether the page's language is another than when last asked. */
  speaksAnother(): boolean;
  /** Calls `measured` with how long the next frame took. */
  measure(): void;
  /** Calls back a subscription; has all of them attached again. */
  notify(subscription: number, viewers: number): void;
  moved(): void;
  listen(): void;
  isHidden(): boolean;
  isPrerendering(): boolean;
  /** 2: a reader who asks sites not to track; 1 or true: a program, or one whose user agent matches. */
  reader(agents: string): number | boolean;
  /** `=` if the address replaced the last one, the address, that of the canonical link, a line each. Empty if nothing changed. */
  here(): string;
  newToken(): string;
  channel(isOpen: boolean): boolean;
  post(text: string): void;
  /** To a room: a page id and a suffix, with a blank between them. Warns if that is not possible. */
  connect(room: string): boolean;
  send(text: string): void;
  disconnect(): void;
  leave(): void;
  /** Calls `due` once; below 0, not any more. */
  wait(alarm: number, delayMs: number): void;
  /** Milliseconds since the page was opened. */
  nowMs(): number;
  random(): number;
  /** Warns that the server refuses this page. */
  refused(reason: string): void;
  end(): void;
}

/** What the Rust exports (`widget/src/lib.rs`). */
export interface Engine {
  setDom(dom: Dom | Pick<Dom, "defaults" | "choice">): void;
  /** Calls `defaults`. */
  tellDefaults(): void;
  /** Takes a value for an option, by its index. Calls `choice`. 1 if there is such an option, and its value is right. */
  take(option: number): number;
  /** `words`: how many more characters show while the pointer or the focus is on a link. */
  start(query: string, words: number): void;
  stop(): void;
  /** Below 0: nobody knows. */
  count(address: string): number;
  total(): number;
  attach(subscription: number, address: string): void;
  detach(subscription: number): void;
  changed(list: number, hasLost: boolean, isElsewhere: boolean): void;
  loaded(list: number): void;
  scrolled(): void;
  /** An attribute of ours was written or removed. */
  lost(slot: number, attribute: number): void;
  /** A link has come into the viewport, or has left it. */
  sighted(slot: number, isSighted: boolean): void;
  /** The pointer or the focus moved, maybe to a link. */
  pointed(slot: number): void;
  /** The texts have come that some numbers wait for. */
  worded(): void;
  measured(tookMs: number): void;
  tab(event: number, isHidden: boolean): void;
  heardToken(text: string): void;
  opened(): void;
  /** A line for each page: its viewers, a blank, its id. */
  heard(lines: string): void;
  closed(code: number, reason: string): void;
  due(alarm: number): void;
}
