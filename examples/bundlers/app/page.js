// What the pages of all bundlers share: links to both of them, and the address of the server. Whoever opens a page names that
// in the fragment, which does not belong to a page's id.

const links = '<a href="/default.html">default</a> <a href="/slim.html">slim</a>';
document.body.insertAdjacentHTML("afterbegin", links);

export const server = location.hash.slice(1);
