/** Types of the npm package `connection-counter`. */

/** What the widget may be told. On a script tag these are `data-*` attributes: `hiddenAfter` is `data-hidden-after`. */
export interface Options {
  /** Address of the server, such as `"https://live.example.com"`. */
  server: string;
  /** Where the server has its page rooms: a page's id is appended. It ends with `/` or `=`. Default: `"/live?page="`. */
  path?: string;
  /** CSS selector for the links to consider. Default: `"a,area"`, all with an `href`. */
  links?: string;
  /** Which pages are counted on links: those of this page's own `"site"`, or `"all"` that the server knows. Default: `"site"`. */
  scope?: "site" | "all";
  /** Links show no number below this. Default: `1`. */
  min?: number;
  /**
   * What is shown for a count, with `{count}` for the number. Plural forms are separated by `|`, each but `other` with its
   * category: `"one={count} reader|other={count} readers"`. Default: `"{count}"`.
   */
  label?: string;
  /** What screen readers hear after a link, with `{count}` for the number. Default: `"({count} viewing now)"`. */
  text?: string;
  /** Whether fragments like `#/inbox` and `#!inbox` are pages of their own. Default: `false`. */
  hash?: boolean;
  /**
   * Which parameters of an address tell pages apart: `"keep"` for all but known tracking parameters, `"drop"` for none, or
   * the names of those that matter. Default: `"keep"`.
   */
  query?: "keep" | "drop" | string | string[];
  /**
   * Whether a page counts as what its `<link rel=canonical>` names (`"follow"`), or as its address (`"ignore"`). Ignore it where
   * links lead to other addresses than canonical links name. Default: `"follow"`.
   */
  canonical?: "follow" | "ignore";
  /**
   * Parts of addresses that do not tell pages apart, separated by spaces: parameters (`?color`, `?filter*`), and the bracketed
   * parts of paths (`[/collections/*]/products/*`, where `*` is any text without a slash, and `**` any text). Default: none.
   */
  omit?: string;
  /**
   * Which page an address is: the address that stands for it, `null` for no page, `undefined` for the address as it is. It is
   * asked about links and about this page, so it should be quick, and answer alike on all pages of a site.
   */
  pageOf?: (url: URL) => string | URL | null | undefined;
  /** Seconds until a tab that is out of sight is no viewer any more. Default: `30`. */
  hiddenAfter?: number;
  /** Whether all tabs of a browser on one page are one viewer. Nothing is stored for it. Default: `false`. */
  mergeTabs?: boolean;
  /** Whether to watch without being counted. Browsers that send Global Privacy Control always do. Default: `false`. */
  observe?: boolean;
  /**
   * Whether a link to the page that the reader is on counts this tab, too. Every number then says the same to all readers. With
   * `"omit"` it is how many others there are. Default: `"count"`.
   */
  self?: "count" | "omit";
  /** Whether browsers that are driven by programs, and crawlers, are counted or only `"watch"`. Default: `"watch"`. */
  bots?: "watch" | "count";
  /** Whether to tell on the console what the widget knows of the page. Default: `false`. */
  debug?: boolean;
}

/** A running widget. */
export interface Handle {
  /**
   * Resolves when the widget runs. Rejects when it cannot, such as where there is no WebAssembly, which is also a warning on the
   * console; who does not wait for it is not troubled.
   */
  readonly ready: Promise<void>;
  /** Viewers of all pages that anything here shows or asks about, each page once. */
  readonly total: number;
  /** The viewers of the page at `url`, or of this page without one; `undefined` as long as nothing here asks about it. */
  count(url?: string | URL): number | undefined;
  /**
   * Calls back with the viewers of the page at `url`, or of this page without one: now, if they are known, and whenever they
   * change; with `undefined` when nobody knows them any more. Answers with the function that ends this.
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
 * A page has one widget: while it runs, every call answers with its handle, whatever the options. Never throws; what goes
 * wrong is one warning on the console. Without a document (on a server) nothing happens.
 *
 * @example
 * const handle = start({ server: "https://live.example.com", label: "one={count} reader|other={count} readers" });
 */
export function start(options: Options): Handle;

/**
 * As `Handle.subscribe`, for whichever widget runs on this page, now or later: this package's, or a script tag's. Without a
 * document (on a server) it never calls back.
 */
export const subscribe: Handle["subscribe"];

/** As `Handle.count`, for whichever widget runs on this page. */
export const count: Handle["count"];

/** What `viewers` events carry: on links that show counts, on `<viewer-count>`, and, because they bubble, on `document`. */
export interface ViewersEvent extends CustomEvent<{ readonly viewers: number | undefined }> {
  readonly type: "viewers";
}

/** `<viewer-count href="…" label="…">`: a number anywhere, of this page without `href`. What stands in it shows until it is known. */
export interface ViewerCountElement extends HTMLElement {}

declare global {
  interface GlobalEventHandlersEventMap {
    viewers: ViewersEvent;
  }
  interface HTMLElementTagNameMap {
    "viewer-count": ViewerCountElement;
  }
}
