// Next.js needs no setting for either entry. This one only makes it ignore the folders above.

export default {
  turbopack: { root: import.meta.dirname },
  outputFileTracingRoot: import.meta.dirname,
};
