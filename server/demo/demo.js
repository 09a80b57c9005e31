// The demo's start page: writes the embed tag with the address the reader came by, and copies it.
// The counts on the page are not its business; they are drawn by /live.js like on any other site.

const tag = document.getElementById("tag");
const copy = document.getElementById("copy");
const json = document.getElementById("json");

// Only the browser knows the public address: behind a proxy the server sees another host and scheme.
tag.textContent = `<script async src="${location.origin}/live.js"></script>`;
json.href = `/parties/counter/${encodeURIComponent(location.host)}`;

// The clipboard exists in secure contexts only; elsewhere the tag can still be selected by hand.
if (navigator.clipboard) {
  copy.hidden = false;
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(tag.textContent);
      copy.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(tag);
      copy.textContent = "Press Ctrl+C";
    }
  });
}
