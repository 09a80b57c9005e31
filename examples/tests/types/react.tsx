// What a React component in TypeScript may do with viewer counts, and what not.

import { ViewerCount, useViewers } from "connection-counter/react";

export function Page() {
  const viewers: number | undefined = useViewers("/one") ?? useViewers(new URL("https://example.com/")) ?? useViewers();
  // @ts-expect-error Nobody may know.
  const known: number = useViewers();
  return (
    <p title={`${viewers} ${known}`}>
      <ViewerCount />
      <ViewerCount href="/one" label="{count} readers" className="badge" title="readers">
        <i>…</i>
      </ViewerCount>
      <viewer-count href="/one" label="{count}" title="readers">
        …
      </viewer-count>
      {/* @ts-expect-error An address is text. */}
      <ViewerCount href={1} />
      {/* @ts-expect-error There is no such attribute. */}
      <viewer-count url="/one" />
    </p>
  );
}
