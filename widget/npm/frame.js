/** The empty frame whose window opens the WebSockets in Firefox: see `isFirefox`. Only Firefox loads this. */

/** The close code of a connection that broke without a close message. */
const LOST = 1006;

/**
 * @param {object} engine the functions that the Rust exports
 * @param {(event: SecurityPolicyViolationEvent) => void} onViolation
 */
export function createFrame(engine, onViolation) {
  const frame = document.createElement("iframe");
  return {
    /** The frame's window. If the page is sandboxed it cannot use its frames, so this is its own window. */
    get window() {
      if (!frame.isConnected) {
        // This hides the frame whatever the page's stylesheets say. The page's policy might refuse it as an attribute.
        frame.style.cssText = "display: none !important";
        document.documentElement.append(frame);
      }
      const empty = frame.contentDocument?.defaultView;
      if (!empty) return window;
      // If the page removes the frame, the WebSocket ends without an event.
      empty.onpagehide = () => engine.closed(LOST, "");
      empty.document.addEventListener("securitypolicyviolation", onViolation);
      return empty;
    },
    remove: () => frame.remove(),
  };
}
