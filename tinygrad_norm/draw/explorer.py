"""One HTML file to step through a record: no network, no package, everything in it made by the engine."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from ..engine import GradientError, TinygradNormError
from ..graph import Folded, Graph
from .steps import steps_of
from .svg import svg
from .text import clean

MOST = 60  # nodes


class ExplorerError(TinygradNormError, ValueError):
    """A graph too large to step through."""


def explorer(graph: Graph, *, gradients: Any = None, title: str | None = None) -> str:
    """The page.

    gradients:  the cotangent of the output; by default a random one
    title:      a heading; without one the page is called after the output

    Raises ``ExplorerError`` for a graph of more than 60 nodes.
    """
    graph = graph.whole if isinstance(graph, Folded) else graph
    if len(graph.nodes) > MOST:
        raise ExplorerError(
            f"draw: a page steps through at most {MOST} nodes; this graph has {len(graph.nodes):,}. Take a part of it, or save it as .svg."
        )
    name = clean(title) if title else f"{clean(graph.nodes[-1].label)}, step by step"
    story = [s.plain() for s in steps_of(graph, None if gradients is True else gradients)]
    data = json.dumps(story, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    phases = list(dict.fromkeys(s["phase"] for s in story))
    jumps = "".join(
        f'<button type="button" data-go="{next(k for k, s in enumerate(story) if s["phase"] == p)}">{_PHASES[p]}</button>'
        for p in phases
    )
    return (
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
        "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">"
        f"<meta name=viewport content='width=device-width'><title>{escape(name)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(name)}</h1>"
        f'<div class=picture role=group aria-label="the recorded graph">{svg(graph)}</div>'
        f'<nav aria-label="steps"><button type=button data-by=-1 aria-label="one step back">◀</button>'
        f'<input type=range id=at min=0 max={len(story) - 1} value=0 aria-label="step">'
        '<button type=button data-by=1 aria-label="one step on">▶</button><button type=button id=play aria-pressed=false>play</button>'
        f'<span id=count></span></nav><nav class=phases aria-label="phases">{jumps}</nav>'
        "<p id=said aria-live=polite></p><div id=numbers></div>"
        f"<details id=routes><summary>Which route gives the most? Guess, then look</summary><pre>{escape(_routes(graph, gradients))}</pre></details>"
        "<p class=keys>← and → step, Home and End jump, space plays. The address of the page holds the step.</p>"
        f'<script type="application/json" id=story>{data}</script><script>{_SCRIPT}</script></body></html>\n'
    )


_PHASES = {"given": "what is given", "forward": "forward", "seed": "the seed", "backward": "backward", "sum": "sums"}


def _routes(graph: Graph, cotangent: Any) -> str:
    try:
        return str(graph.routes(graph.main_input, None if cotangent is True else cotangent))
    except GradientError as error:
        return str(error)


_STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--paper:#fff;--soft:#57606a;--line:#d0d7de;--mark:#0b5cad}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--paper:#0d1117;--soft:#9aa4af;--line:#30363d;--mark:#79b8ff}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:84rem;margin:1rem auto;padding:0 1rem}
h1{font-size:1.3rem;margin:.3rem 0}.picture{overflow-x:auto;background:#fff;border:1px solid var(--line);border-radius:.5rem}
.picture svg{display:block;margin:auto;max-width:100%;height:auto}nav{display:flex;gap:.5rem;align-items:center;margin:.6rem 0;flex-wrap:wrap}
nav input{flex:1;min-width:10rem}button{font:inherit;padding:.2rem .8rem;border:1px solid var(--line);border-radius:.4rem;background:none;color:inherit;cursor:pointer}
button:focus-visible,input:focus-visible,summary:focus-visible{outline:3px solid var(--mark)}button[aria-current=true]{border-color:var(--mark);color:var(--mark)}
#count{color:var(--soft);font-variant-numeric:tabular-nums}#said{font-size:1.15rem;min-height:3.2rem;margin:.4rem 0}
table{border-collapse:collapse;font:14px/1.3 ui-monospace,monospace}td{padding:.15rem .5rem;text-align:right;border:1px solid var(--line);color:#111}
caption{text-align:left;color:var(--soft);font:14px system-ui,sans-serif;padding:.2rem 0}#numbers{display:flex;gap:2rem;flex-wrap:wrap;min-height:8rem;overflow-x:auto}
details{margin:1rem 0}pre{overflow-x:auto;font-size:13px}.keys{color:var(--soft);font-size:.9rem}
.node,.edge{opacity:.28}.seen{opacity:.75}.now{opacity:1}.node.now rect{stroke:#0b5cad;stroke-width:4}
@media print{nav,.keys{display:none}.node,.edge{opacity:1}}
"""

_SCRIPT = """
'use strict';
const story=JSON.parse(document.getElementById('story').textContent);
const slider=document.getElementById('at'),said=document.getElementById('said'),numbers=document.getElementById('numbers'),count=document.getElementById('count'),play=document.getElementById('play');
const part=(kind,k)=>document.querySelector('.picture .'+kind+'[data-'+kind+'="'+k+'"]');
let at=0,timer=null;
function mark(kind,k,how){const e=part(kind,k);if(e)e.classList.add(how)}
function colour(s){const a=Math.round(Math.abs(s)*75);return s<0?'hsl(24 90% '+(97-a*.5)+'%)':'hsl(205 85% '+(97-a*.5)+'%)'}
function table(m){const t=document.createElement('table'),c=t.createCaption();c.textContent=m.title+'  '+m.shape+(m.cut?'  ('+m.cut+')':'');
m.cells.forEach((row,i)=>{const r=t.insertRow();row.forEach((v,j)=>{const d=r.insertCell();d.textContent=v;d.style.background=colour(m.shades[i][j])})});return t}
function show(k,quiet){at=Math.max(0,Math.min(story.length-1,k));const s=story[at];
document.querySelectorAll('.picture .node,.picture .edge').forEach(e=>e.classList.remove('seen','now'));
const back=story.findIndex(p=>p.phase==='seed');for(const p of story.slice(at<back?0:back,at+1)){mark('node',p.node,'seen');p.edges.forEach(e=>mark('edge',e,'seen'))}
mark('node',s.node,'now');s.edges.forEach(e=>mark('edge',e,'now'));
said.textContent=s.text;numbers.replaceChildren(...s.matrices.map(table));slider.value=at;slider.setAttribute('aria-valuetext',s.text);
count.textContent=(at+1)+' of '+story.length+', '+s.phase;
document.querySelectorAll('[data-go]').forEach(b=>b.setAttribute('aria-current',story[+b.dataset.go].phase===s.phase));
if(!quiet)history.replaceState(null,'','#step='+(at+1))}
function stop(){clearInterval(timer);timer=null;play.textContent='play';play.setAttribute('aria-pressed','false')}
function toggle(){if(timer)return stop();if(at===story.length-1)show(0);timer=setInterval(()=>at<story.length-1?show(at+1):stop(),1400);play.textContent='stop';play.setAttribute('aria-pressed','true')}
slider.addEventListener('input',()=>{stop();show(+slider.value)});
play.addEventListener('click',toggle);
document.addEventListener('click',e=>{const b=e.target.closest('button');if(!b)return;if(b.dataset.by){stop();show(at+ +b.dataset.by)}if(b.dataset.go){stop();show(+b.dataset.go)}});
document.addEventListener('keydown',e=>{if(e.altKey||e.ctrlKey||e.metaKey)return;const go={ArrowLeft:at-1,ArrowRight:at+1,Home:0,End:story.length-1}[e.key];
if(go!==undefined){stop();show(go);e.preventDefault()}else if(e.key===' '&&!/BUTTON|SUMMARY/.test(e.target.tagName)){toggle();e.preventDefault()}});
const from=()=>{const m=/step=(\\d+)/.exec(location.hash);show(m?m[1]-1:0,true)};
window.addEventListener('hashchange',from);from();
"""
