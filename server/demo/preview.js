// The preview of the start page: starts the widget as its tag would, with the options from this page's own address.

const tag = document.createElement("script");
tag.async = true;
tag.src = "/live.js";
for (const [name, value] of new URLSearchParams(location.search)) tag.setAttribute(`data-${name}`, value);
document.head.append(tag);
