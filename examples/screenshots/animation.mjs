// Joins PNG pictures of one size to one that moves (APNG), which every browser shows.

import { crc32 } from "node:zlib";

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
/** Bytes of a chunk besides its content: length, type and checksum. */
const CHUNK_BYTES = 12;

/** The chunks of a picture, in order. */
function* chunksOf(picture) {
  for (let at = SIGNATURE.length; at < picture.length; ) {
    const length = picture.readUInt32BE(at);
    yield { type: picture.toString("latin1", at + 4, at + 8), content: picture.subarray(at + 8, at + 8 + length) };
    at += CHUNK_BYTES + length;
  }
}

function chunk(type, ...contents) {
  const content = Buffer.concat([Buffer.from(type, "latin1"), ...contents]);
  return Buffer.concat([numbers(content.length - 4), content, numbers(crc32(content))]);
}

/** Numbers of four bytes each. */
function numbers(...values) {
  const buffer = Buffer.alloc(4 * values.length);
  values.forEach((value, idx) => buffer.writeUInt32BE(value, 4 * idx));
  return buffer;
}

/** The pictures one after another, each for so many milliseconds, for ever. */
export function animate(pictures, milliseconds) {
  let sequence = 0;
  const header = [...chunksOf(pictures[0])].find(({ type }) => type === "IHDR").content;
  const size = header.subarray(0, 8);
  // A frame begins at the corner, stays for its time, and the next one takes its place.
  const delay = Buffer.from([milliseconds >> 8, milliseconds & 0xff, 1000 >> 8, 1000 & 0xff, 0, 0]);
  const frames = pictures.flatMap((picture, idx) => {
    const control = chunk("fcTL", numbers(sequence++), size, numbers(0, 0), delay);
    const data = [...chunksOf(picture)].filter(({ type }) => type === "IDAT");
    return [
      control,
      ...data.map(({ content }) => (idx === 0 ? chunk("IDAT", content) : chunk("fdAT", numbers(sequence++), content))),
    ];
  });
  return Buffer.concat([
    SIGNATURE,
    chunk("IHDR", header),
    chunk("acTL", numbers(pictures.length, 0)),
    ...frames,
    chunk("IEND"),
  ]);
}
