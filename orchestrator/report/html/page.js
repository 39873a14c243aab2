"use strict";
// Tables are sorted, filtered and saved; charts come alive when they are scrolled to. Without this file all is readable.
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const make = (tag, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };

  const number = (text) => {
    const found = /^[+−-]?(\d[\d.,]*|\.\d+)(e[+-]?\d+)?/i.exec(text.trim());
    return found ? Number(found[0].replace("−", "-").replaceAll(",", "")) : NaN;
  };
  const cellText = (cell) => [...cell.childNodes]
    .filter((node) => !(node.classList && node.classList.contains("tag"))).map((node) => node.textContent).join("").trim();

  function sort(table, column, header) {
    const down = header.getAttribute("aria-sort") === "ascending";
    all("thead th", table).forEach((other) => other.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", down ? "descending" : "ascending");
    for (const body of table.tBodies) {
      const rows = [...body.rows].filter((row) => !row.classList.contains("block"));
      const keyed = rows.map((row) => ({ row, text: cellText(row.cells[column]), value: number(cellText(row.cells[column])) }));
      keyed.sort((a, b) => {
        const [first, second] = [Number.isNaN(a.value), Number.isNaN(b.value)];
        if (first !== second) return first ? 1 : -1; // what has no number comes last
        const order = first ? a.text.localeCompare(b.text) : a.value - b.value;
        return down ? -order : order;
      });
      body.append(...keyed.map((one) => one.row));
    }
  }

  function filter(table, text, said) {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0, total = 0;
    for (const body of table.tBodies) {
      const block = [...body.rows].find((row) => row.classList.contains("block"));
      const title = block ? block.textContent.toLowerCase() : "";
      let own = 0;
      for (const row of body.rows) {
        if (row === block) continue;
        const content = `${title} ${row.textContent.toLowerCase()}`;
        row.hidden = !words.every((word) => content.includes(word));
        own += !row.hidden;
        total += 1;
      }
      if (block) block.hidden = !own;
      shown += own;
    }
    said.textContent = words.length ? `${shown} of ${total} lines` : "";
  }

  const quoted = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  // A spreadsheet runs a cell that begins like a formula, and names are input; figures with a sign stay as they are.
  const figure = /^[+−-]?(\d[\d.,]*|\.\d+)(e[+-]?\d+)?( ?[±[(%][^|!@]*)?$/i;
  const plain = (text) => quoted(/^[=+@\t\r-]/.test(text) && !figure.test(text) ? `'${text}` : text);

  function csv(table) {
    const blocks = Boolean(table.querySelector("tr.block"));
    const lead = blocks ? ["block"] : [];
    const lines = [[...lead, ...all("thead th", table).map((cell) => cellText(cell))]];
    for (const body of table.tBodies) {
      let title = "";
      for (const row of body.rows) {
        if (row.classList.contains("block")) title = row.textContent.trim();
        else if (!row.hidden) lines.push([...(blocks ? [title] : []), ...[...row.cells].map(cellText)]);
      }
    }
    return lines.map((line) => line.map(plain).join(",")).join("\r\n") + "\r\n";
  }

  function save(name, text, type) {
    const link = make("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  for (const table of all("table[data-name]")) {
    const tools = table.closest(".sheet").querySelector(".tools");
    const said = make("output");
    const input = make("input", { type: "search", placeholder: "Filter lines" });
    input.setAttribute("aria-label", `Filter the lines of ${table.dataset.name}`);
    input.addEventListener("input", () => filter(table, input.value, said));
    const button = make("button", { type: "button", textContent: "Download what I see as CSV" });
    button.addEventListener("click", () => save(`${table.dataset.name}.csv`, csv(table), "text/csv"));
    tools.append(input, button, said);
    tools.hidden = false;
    all("thead th", table).forEach((header, column) => {
      const sorter = make("button", { type: "button", textContent: header.textContent });
      sorter.addEventListener("click", () => sort(table, column, header));
      header.replaceChildren(sorter);
    });
  }

  const trials = document.querySelector(".tools[data-trials]");
  const parts = all("details.trial");
  if (trials && parts.length > 5) {
    const said = make("output");
    const input = make("input", { type: "search", placeholder: "Filter trials" });
    input.setAttribute("aria-label", "Filter trials");
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      parts.forEach((part) => {
        part.hidden = !words.every((word) => part.textContent.toLowerCase().includes(word));
      });
      said.textContent = words.length ? `${parts.filter((part) => !part.hidden).length} of ${parts.length} trials` : "";
    });
    trials.append(input, said);
    trials.hidden = false;
  }

  let stored; // specifications and data of charts, once they are unpacked
  const keys = new Map(); // section -> view that its charts show
  const live = new Map(); // plot -> Vega view

  function show(section, chosen) {
    all(":scope > .view", section).forEach((view) => { view.hidden = view.dataset.view !== chosen.dataset.view; });
    all(":scope > .switch button", section).forEach((button) => {
      button.setAttribute("aria-pressed", String(button === chosen));
    });
    if (chosen.dataset.chartView === "") return; // charts keep the view that they have
    keys.set(section, Number(chosen.dataset.chartView));
    all(".plot", section).forEach((plot) => focus(plot, keys.get(section)));
    all(".group", section).forEach((title) => { // a block that this table lacks
      title.hidden = all(".chart", title.nextElementSibling).every((figure) => figure.hidden);
    });
    dispatchEvent(new Event("resize")); // charts that were hidden learn their width
  }

  function focus(plot, key) {
    if (!plot.dataset.views) return; // it shows the same for every table
    plot.closest(".chart").hidden = !plot.dataset.views.split(" ").includes(String(key));
    if (live.has(plot)) live.get(plot).signal("view", key).runAsync();
  }

  const tasks = document.querySelector(".switch.tasks");
  if (tasks) {
    const buttons = all("button", tasks);
    tasks.hidden = false;
    const only = (key) => {
      buttons.forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.section === key)));
      all("section.task").forEach((section) => { section.hidden = key !== "" && section.id !== key; });
      dispatchEvent(new Event("resize")); // charts that were hidden learn their width
    };
    buttons.forEach((button) => button.addEventListener("click", () => only(button.dataset.section)));
    all(".contents a").forEach((link) => link.addEventListener("click", () => only(""))); // its target may be hidden
  }

  for (const section of all("section.task")) {
    const bar = section.querySelector(":scope > .switch");
    if (!bar) continue;
    bar.hidden = false;
    all("button", bar).forEach((button) => button.addEventListener("click", () => show(section, button)));
    show(section, bar.querySelector("button"));
  }

  async function enliven(plot) {
    const { spec, uses } = stored.specs[plot.dataset.chart];
    if (spec.facet) return; // its panels have a fixed width
    const datasets = Object.fromEntries(uses.map((name) => [name, structuredClone(stored.data[name])]));
    const element = make("div", { className: "live" });
    const still = plot.querySelector("svg");
    element.style.cssText = "position:absolute;visibility:hidden;inset:0 0 auto 0";
    plot.append(element);
    try {
      const whole = { ...structuredClone(spec), datasets, width: "container", autosize: { type: "fit-x", contains: "padding" } };
      const options = { ast: true, actions: false, defaultStyle: false, renderer: "svg", logLevel: 1, config: stored.config };
      const { view } = await vegaEmbed(element, whole, options);
      element.querySelector("svg").setAttribute("aria-hidden", "true"); // the figure says what it shows
      live.set(plot, view);
      element.style.cssText = "";
      still.remove();
      const key = keys.get(plot.closest("section"));
      if (key !== undefined) focus(plot, key);
    } catch (error) {
      element.remove(); // the still picture says the same
      console.error(`chart ${plot.dataset.chart}: ${error}`);
    }
  }

  async function unpack(id) {
    const packed = Uint8Array.from(atob(document.getElementById(id).textContent), (c) => c.charCodeAt(0));
    return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  }

  // Library and data are unpacked after the tables are there; the policy knows the hash of the library's text.
  async function load() {
    stored = JSON.parse(await unpack("chart-data"));
    document.head.append(make("script", { textContent: await unpack("chart-library") }));
  }

  addEventListener("load", async () => {
    if (!document.querySelector(".plot[data-chart]") || typeof DecompressionStream === "undefined") return;
    await load();
    const seen = new IntersectionObserver((entries) => entries.forEach((entry) => {
      if (!entry.isIntersecting) return;
      seen.unobserve(entry.target);
      enliven(entry.target);
    }), { rootMargin: "200px" });
    all(".plot[data-chart]").forEach((plot) => seen.observe(plot));
  });
})();
