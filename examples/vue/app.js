// A Vue app. It starts the widget, which shows counts on its links. The composable and the component show counts elsewhere.

import { start } from "connection-counter";
import { ViewerCount, useViewers } from "connection-counter/vue";
import { computed, createApp, onMounted, onUnmounted } from "vue";

/** From so many customers on, one has to wait. */
const QUEUE = 3;

const Stall = {
  props: ["name"],
  setup(props) {
    const page = computed(() => `/vue/${props.name}`);
    const viewers = useViewers(page);
    return { page, isCrowded: computed(() => viewers.value >= QUEUE) };
  },
  template: `<li><a :href="page">{{ name }}</a> {{ isCrowded ? "There is a queue." : "" }}</li>`,
};

const Market = {
  components: { Stall, ViewerCount },
  props: ["server"],
  setup(props) {
    // The widget runs as long as the app.
    let handle;
    onMounted(() => (handle = start({ server: props.server })));
    onUnmounted(() => handle.stop());
  },
  template: `
    <h1>The market on Saturday</h1>
    <ul>
      <Stall v-for="name in ['bread', 'cheese', 'flowers']" :key="name" :name="name" />
    </ul>
    <p><ViewerCount label="one=You are alone here.|other={count} people are here.">Looking around …</ViewerCount></p>`,
};

const { server } = document.body.dataset;
createApp(Market, { server }).mount(document.body.appendChild(document.createElement("main")));
