// webpack 5 needs no setting for either entry. This one only says that there are two pages.

export default {
  mode: "production",
  entry: { default: "./default.js", slim: "./slim.js" },
};
