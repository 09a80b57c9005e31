/** Types of the npm package `connection-counter`. */

/** What the widget may be told. On a script tag these are `data-server`, `data-links` and `data-scope`. */
export interface Options {
  /** Address of the server, such as `"https://live.example.com"`. */
  server: string;
  /** CSS selector for the links to consider. Default: `"a[href]"`. */
  links?: string;
  /** Which pages are counted on links: those of this page's own `"site"`, or `"all"` that the server knows. Default: `"site"`. */
  scope?: "site" | "all";
}

/** A running widget. */
export interface Handle {
  /** Stops the widget and leaves the page as it was found. Calling it again does nothing. */
  stop(): void;
}

/**
 * Shows live viewer counts on the links of this page.
 *
 * A page has one widget: while it runs, every call answers with its handle, whatever the options. The promise never
 * rejects; what goes wrong is one warning on the console. Without a document (on a server) nothing happens.
 */
export function start(options: Options): Promise<Handle>;
