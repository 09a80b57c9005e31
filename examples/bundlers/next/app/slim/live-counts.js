"use client";
// Starts the widget in the browser, with its module beside it. The tests name the server in the fragment.

import { start } from "connection-counter/slim";
import { useEffect } from "react";

export function LiveCounts() {
  useEffect(() => start({ server: location.hash.slice(1) }).stop, []);
  return null;
}
