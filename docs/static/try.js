// "Try it": a link in the fragment is shown, never run unasked; Python is loaded on a click only, in a worker that can be stopped.
"use strict";
(() => {
  const form = document.getElementById("try"), at = (id) => document.getElementById("try-" + id);
  const LONGEST = 8000;
  let worker = null;

  at("pyodide").value = form.dataset.pyodide;

  // A link: v1., then base64url of zlib of JSON, as tinygrad_norm.check.link writes it.
  const through = async (bytes, stream) => new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer());

  async function pack(held) {
    const bytes = await through(new TextEncoder().encode(JSON.stringify(held)), new CompressionStream("deflate"));
    const data = btoa(Array.from(bytes, (b) => String.fromCharCode(b)).join("")).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
    if (data.length > LONGEST) throw new Error(`link: the code makes a link of ${data.length} characters, and ${LONGEST} is the most. Send the file.`);
    return "v1." + data;
  }

  async function unpack(fragment) {
    const found = /^#?(v\d+)\.([\w-]*)$/.exec(fragment);
    if (!found) throw new Error("link: it holds no check: it begins with #v1.");
    if (found[1] !== "v1") throw new Error(`link: it is of version ${found[1]}, v1 is known here.`);
    try {
      const text = atob(found[2].replace(/-/g, "+").replace(/_/g, "/"));
      const held = JSON.parse(new TextDecoder().decode(await through(Uint8Array.from(text, (c) => c.charCodeAt(0)), new DecompressionStream("deflate"))));
      if (typeof held.source !== "string") throw new Error("no source");
      return held;
    } catch (error) {
      throw new Error("link: it is damaged. Copy all of it, from # to the end.");
    }
  }

  // What the form says, and back. What a link holds beside (a shape, a dtype, …) is kept.
  let besides = {};

  const value = (text) => {
    const words = { true: true, false: false, none: null };
    const low = text.toLowerCase();
    return low in words ? words[low] : text !== "" && !isNaN(Number(text)) ? Number(text) : text;
  };

  function held() {
    const options = {}, how = { ...besides };
    for (const part of at("options").value.split(/,(?![^[{]*[\]}])/).map((p) => p.trim()).filter(Boolean)) {
      const [name, ...rest] = part.split("=");
      if (!rest.length) throw new Error(`options: ${part}: write NAME=VALUE, such as eps=1e-5.`);
      try { options[name.trim()] = JSON.parse(rest.join("=")); } catch { options[name.trim()] = value(rest.join("=").trim()); }
    }
    if (Number(at("seed").value)) how.seed = Number(at("seed").value);
    const all = { how, name: at("name").value.trim(), norm: at("norm").value, options, source: at("source").value };
    return Object.fromEntries(Object.entries(all).filter(([k, v]) => k === "source" || (typeof v === "string" ? v : Object.keys(v).length)));
  }

  function put({ source, name = "", norm = "", options = {}, how = {} }) {
    at("source").value = source;
    at("name").value = name;
    if (norm && ![...at("norm").options].some((o) => o.value === norm)) at("norm").add(new Option(norm, norm));
    at("norm").value = norm;
    at("options").value = Object.entries(options).map(([k, v]) => `${k}=${typeof v === "string" ? v : JSON.stringify(v)}`).join(", ");
    const { seed = 0, ...rest } = how;
    at("seed").value = seed;
    besides = rest;
    at("came").hidden = false;
  }

  function say(text, mood = "") {
    at("said").hidden = false;
    at("said").className = mood;
    at("said").textContent = text;
  }

  async function opened() {
    if (!/^#v\d+\./.test(location.hash)) return;
    try { put(await unpack(location.hash)); } catch (error) { say(error.message, "wrong"); }
  }

  // The worker: Pyodide, the package, and one function of it.
  const WORK = `
    let ready = null;
    async function load(address, zip) {
      importScripts(address + "pyodide.js");
      const python = await loadPyodide({ indexURL: address });
      postMessage({ step: "NumPy and SymPy …" });
      await python.loadPackage(["numpy", "sympy"]);
      python.unpackArchive(zip, "zip");
      return python;
    }
    onmessage = async ({ data }) => {
      try {
        ready = ready || load(data.pyodide, data.zip);
        const python = await ready;
        postMessage({ step: "checking …" });
        python.globals.set("link", data.link);
        postMessage({ answer: await python.runPythonAsync("from tinygrad_norm.check.repeated import answer\\nanswer(link)") });
      } catch (error) {
        postMessage({ failed: String(error.message || error).trim().split("\\n").pop() });
      }
    };`;

  // The package stands beside this page as a script: even a page that was opened from a file may load that.
  const packed = () => new Promise((done, failed) => {
    window.tinygradNorm = (text) => done(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
    const script = document.createElement("script");
    script.onerror = () => failed(new Error("the package is not beside this page: package.js"));
    script.src = form.dataset.package;
    document.head.append(script);
  });

  function stop(text) {
    if (worker) worker.terminate();
    worker = null;
    at("stop").hidden = true;
    at("run").disabled = false;
    if (text) say(text);
  }

  function started() {
    const address = URL.createObjectURL(new Blob([WORK], { type: "text/javascript" }));
    const made = new Worker(address);
    made.onmessage = ({ data }) => {
      if (data.step) return say(data.step);
      at("run").disabled = false;
      at("stop").hidden = true;
      if (data.failed) {
        stop();
        return say(`Python could not be loaded, or the check not be run: ${data.failed}`, "wrong");
      }
      const { ok, judged, text } = JSON.parse(data.answer);
      say(text, ok ? "right" : judged ? "wrong" : "");
    };
    made.onerror = (event) => stop(`Python could not be loaded: ${event.message}`);
    return made;
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    let link;
    try { link = "#" + await pack(held()); } catch (error) { return say(error.message, "wrong"); }
    at("run").disabled = true;
    at("run").textContent = "Check";
    at("stop").hidden = false;
    say("Python …");
    const folder = at("pyodide").value.trim().replace(/\/*$/, "/");
    try {
      const zip = worker ? null : await packed();
      worker = worker || started();
      worker.postMessage({ link, pyodide: folder, zip });
    } catch (error) { stop(error.message); }
  });
  at("stop").addEventListener("click", () => stop("stopped"));
  at("share").addEventListener("click", async () => {
    try {
      const address = location.href.split("#")[0] + "#" + await pack(held());
      const a = at("link").querySelector("a");
      a.href = a.textContent = address;
      at("link").hidden = false;
      if (navigator.clipboard && window.isSecureContext) navigator.clipboard.writeText(address).catch(() => {});
    } catch (error) { say(error.message, "wrong"); }
  });
  window.addEventListener("hashchange", opened);
  opened();
})();
