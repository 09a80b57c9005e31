// What a program in TypeScript may do with the widget, and what not.

import { type Handle, type Options, count, start, subscribe } from "connection-counter";
import { start as startWithoutWasm } from "connection-counter/no-wasm";
import { start as startSlim } from "connection-counter/slim";

const options: Options = { server: "https://live.example.com", scope: "all", min: 2, query: ["id"], hiddenAfter: 10 };
const handle: Handle = start(options);
const ready: Promise<void> = handle.ready;
const total: number = handle.total;
const viewers: number | undefined = handle.count("/one") ?? count(new URL("https://example.com/two")) ?? count();
const leave: () => void = subscribe("/one", (viewers) => viewers?.toFixed());
startSlim({ ...options, module: fetch("/widget.wasm") }).stop();
startSlim({ ...options, module: new Uint8Array() });
startWithoutWasm(options).stop();
// @ts-expect-error It has no module.
startWithoutWasm({ ...options, module: new Uint8Array() });

document.addEventListener("viewers", ({ detail }) => detail.viewers?.toFixed());
document.createElement("viewer-count").addEventListener("viewers", (event) => event.detail.viewers);

// @ts-expect-error `start` is synchronous.
start(options).then(() => {});
// @ts-expect-error The server has no default here.
start({});
// @ts-expect-error There is no such scope.
start({ ...options, scope: "world" });
// @ts-expect-error There is no such option.
start({ ...options, labels: "" });
// @ts-expect-error Only the slim entry takes a module.
start({ ...options, module: fetch("/widget.wasm") });
// @ts-expect-error Nobody may know.
const known: number = count();
// @ts-expect-error It is not ours to set.
handle.total = 1;

export { known, leave, ready, total, viewers };
