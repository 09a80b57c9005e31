/** Types of the npm package `connection-counter`. */

/** Options of the widget. On a script tag these are `data-*` attributes: `hiddenAfter` is `data-hidden-after`. */
export interface Options {
  /** Address of the server, such as `"https://live.example.com"`. */
  server: string;
  /** Path of the page rooms on the server. A page's id is appended. It ends with `/` or `=`. Default: `"/live?page="`. */
  path?: string;
  /** CSS selector for the links to count. Each needs an `href`. Default: `"a,area"`. */
  links?: string;
  /** `"site"`: links to pages of the same site get counts. `"all"`: links to every site the server serves. Default: `"site"`. */
  scope?: "site" | "all";
  /** Links show no number below this. Default: `1`. */
  min?: number;
  /**
   * The text shown for a count, with `{count}` for the number. Separate plural forms by `|`. Each begins with its category, and
   * `other=` may be left out: `"one={count} reader|other={count} readers"`. Default: `"{count}"`.
   */
  label?: string;
  /**
   * The text that screen readers say after a link, with `{count}` for the number. While the pointer or the
   * focus is on the link, it shows without its parentheses, if there is room. Default: `"({count} viewing now)"`.
   */
  text?: string;
  /** Whether addresses with different fragments like `#/inbox` and `#!inbox` are different pages. Default: `false`. */
  hash?: boolean;
  /**
   * Which parameters of an address tell pages apart: `"keep"` for all except known tracking parameters, `"drop"` for none, or
   * a list of names. Default: `"keep"`.
   */
  query?: "keep" | "drop" | string | string[];
  /**
   * `"follow"`: a page counts as the page that its `<link rel=canonical>` names. `"ignore"`: a page counts by its own address. Use
   * `"ignore"` if links lead to addresses that differ from the canonical links. Default: `"follow"`.
   */
  canonical?: "follow" | "ignore";
  /**
   * Parts of addresses that do not tell pages apart, separated by spaces: parameters (`?color`, `?filter*`), and the bracketed
   * parts of paths (`[/collections/*]/products/*`). `*` is any text without a slash, and `**` is any text. Default: none.
   */
  omit?: string;
  /**
   * Returns the address to count a URL as: another address, `null` if the URL is no page, or `undefined` to keep the URL, with
   * whatever it has changed in it. It is called for links and for this page. It should be quick, and give the same results on all
   * pages of a site.
   */
  pageOf?: (url: URL) => string | URL | null | undefined;
  /** Seconds after which a hidden tab is no longer counted. Default: `30`. */
  hiddenAfter?: number;
  /** Whether all tabs of a browser on one page are one viewer. Nothing is stored for this. Default: `false`. */
  mergeTabs?: boolean;
  /** Whether to show counts without counting this reader. Browsers with Global Privacy Control always do this. Default: `false`. */
  observe?: boolean;
  /**
   * Whether a link to the page that the reader is on counts this tab, too. With `"count"`, every reader sees the same number. With
   * `"omit"`, it shows how many others are there. Default: `"count"`.
   */
  self?: "count" | "omit";
  /** `"watch"`: crawlers and automated browsers see counts but are not counted. `"count"`: count them, too. Default: `"watch"`. */
  bots?: "watch" | "count";
  /** Whether to print in the console what the widget knows. Default: `false`. */
  debug?: boolean;
}

/** A running widget. */
export interface Handle {
  /**
   * Resolves when the widget runs. Rejects if it cannot run, for example without WebAssembly. The console then shows a warning,
   * too. If you ignore this promise, its rejection is not reported.
   */
  readonly ready: Promise<void>;
  /** The sum of the viewers of all pages that links, elements or subscriptions here watch. Each page counts once. */
  readonly total: number;
  /** The viewers of the page at `url`, or of this page without `url`. `undefined` if nothing here watches that page. */
  count(url?: string | URL): number | undefined;
  /**
   * Calls `callback` with the viewers of the page at `url`, or of this page without `url`: at once if the count is known, and
   * whenever it changes. It gets `undefined` when the count is no longer known. Returns a function that ends the subscription.
   *
   * @example
   * const leave = handle.subscribe("/checkout", (viewers) => (badge.textContent = viewers ?? ""));
   */
  subscribe(url: string | URL | undefined, callback: (viewers: number | undefined) => void): () => void;
  /** Stops the widget and leaves the page as it was found. Calling it again does nothing. */
  stop(): void;
}

/**
 * Shows live viewer counts on the links of this page.
 *
 * A page has one widget. While it runs, every call returns its handle and ignores the options. This never throws: an error
 * is one warning in the console. Without a document (on a server) nothing happens.
 *
 * @example
 * const handle = start({ server: "https://live.example.com", label: "one={count} reader|other={count} readers" });
 */
export function start(options: Options): Handle;

/**
 * Like `Handle.subscribe`, for the widget of this page, whether this package or a script tag starts it, now or later. Without a
 * document (on a server) it never calls back.
 */
export const subscribe: Handle["subscribe"];

/** Like `Handle.count`, for the widget of this page. */
export const count: Handle["count"];

/** The event that links with counts and `<viewer-count>` dispatch when a count changes. It bubbles to `document`. */
export interface ViewersEvent extends CustomEvent<{ readonly viewers: number | undefined }> {
  readonly type: "viewers";
}

/**
 * `<viewer-count href="…" label="…">` shows a number anywhere. Without `href` it is the number of this page. The element's content
 * shows until the count is known.
 */
export interface ViewerCountElement extends HTMLElement {}

declare global {
  interface GlobalEventHandlersEventMap {
    viewers: ViewersEvent;
  }
  interface HTMLElementTagNameMap {
    "viewer-count": ViewerCountElement;
  }
}
