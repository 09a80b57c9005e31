/** The two spellings of an option's name: `hiddenAfter` in code, `hidden-after` in attributes and addresses. */

export const kebab = (name) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
export const camel = (name) => name.replace(/-([a-z])/g, (_, letter) => letter.toUpperCase());
