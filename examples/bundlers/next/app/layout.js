// What all pages share: links to both of them, and a count for each.

import { ViewerCount } from "connection-counter/react";

export const metadata = { title: "Rendered by a server", icons: "data:," };

export default function Layout({ children }) {
  return (
    <html lang="en">
      <body>
        <p>
          <a href="/default">default</a> <ViewerCount href="/default">nobody knows</ViewerCount>
        </p>
        <p>
          <a href="/slim">slim</a> <ViewerCount href="/slim">nobody knows</ViewerCount>
        </p>
        {children}
      </body>
    </html>
  );
}
