// A page of a server component, with one of the browser's that starts the widget.

import { LiveCounts } from "./live-counts.js";

export default function Page() {
  return <LiveCounts />;
}
