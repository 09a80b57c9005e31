// An app drawn by React. The widget it starts shows counts on its links; the hook and the component show them elsewhere.

import { start } from "connection-counter";
import { ViewerCount, useViewers } from "connection-counter/react";
import { StrictMode, useEffect } from "react";
import { createRoot } from "react-dom/client";

/** From so many customers on, one has to wait. */
const QUEUE = 3;

function Stall({ name }) {
  const page = `/react/${name}`;
  const viewers = useViewers(page);
  return (
    <li>
      <a href={page}>{name}</a> {viewers >= QUEUE && "There is a queue."}
    </li>
  );
}

function Market({ server }) {
  // The widget lives as long as the app. React in development starts it, stops it and starts it again.
  useEffect(() => start({ server }).stop, [server]);
  return (
    <>
      <h1>The market on Saturday</h1>
      <ul>
        {["bread", "cheese", "flowers"].map((name) => (
          <Stall key={name} name={name} />
        ))}
      </ul>
      <p>
        <ViewerCount label="one=You are alone here.|other={count} people are here.">Looking around …</ViewerCount>
      </p>
    </>
  );
}

const root = createRoot(document.body.appendChild(document.createElement("main")));
root.render(
  <StrictMode>
    <Market server={document.body.dataset.server} />
  </StrictMode>,
);
