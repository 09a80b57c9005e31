// Next.js needs no setting for either entry. This one only says that what is above this folder is none of its business.

export default {
  turbopack: { root: import.meta.dirname },
  outputFileTracingRoot: import.meta.dirname,
};
