// Vite needs no setting for either entry. This one only says that there are two pages.

export default {
  build: { rolldownOptions: { input: ["default.html", "slim.html"] } },
};
