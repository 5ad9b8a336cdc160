"""The page in a browser: tables sort and filter, figures enlarge, no error, no request."""

import html
import json
import re
import shutil
import subprocess

import pytest

from dlfbench.report import write_report
from synthetic_run import fail, make_results, make_run

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.figures,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium on the path"),
]

ACTIONS = """
<script>
window.addEventListener("load", async () => {
  const found = { errors: window.failures };
  for (const folded of document.querySelectorAll("details")) folded.open = true;
  await new Promise((done) => setTimeout(done, 200));
  const table = (name) => document.querySelector(`#table-${name} table`);
  const column = (name, title) => [...table(name).tHead.rows[0].cells].findIndex((c) => c.textContent === title);
  const values = (name, title) => [...table(name).tBodies[0].rows].map((row) => {
    const shown = [...row.cells];
    const before = [...table(name).tHead.rows[0].cells].slice(0, column(name, title)).filter((c) => !c.hidden).length;
    return shown[before].textContent;
  });
  const click = (name, title) => table(name).tHead.rows[0].cells[column(name, title)].querySelector("button").click();
  const choose = (name, place, value) => {
    const select = document.querySelectorAll(`#table-${name} select`)[place];
    select.value = value;
    select.dispatchEvent(new Event("change"));
  };
  found.first = values("summary", "method");
  click("summary", "mean");
  found.falling = values("summary", "mean");
  click("summary", "mean");
  found.rising = values("summary", "mean");
  choose("summary", 2, "=HD95 (mm)");
  found.filtered = values("summary", "method").length;
  choose("summary", 0, "");
  found.unfiltered = values("summary", "method").length;
  const plain = document.querySelector("#labels table.sortable");
  plain.tHead.rows[0].cells[2].querySelector("button").click();
  found.plain = [...plain.tBodies[0].rows].map((row) => row.cells[0].textContent);
  document.querySelector(".enlarge").click();
  found.enlarged = document.querySelector("dialog").open;
  document.querySelector("dialog").click();
  found.closed = !document.querySelector("dialog").open;
  found.requests = performance.getEntriesByType("resource").map((e) => e.name).filter((n) => !n.startsWith("data:"));
  found.injected = typeof window.injected;
  const wide = (e) => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1;
  found.overflow = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  document.body.insertAdjacentHTML("beforeend", "<pre id=found></pre>");
  document.getElementById("found").textContent = JSON.stringify(found);
});
</script>
"""
WATCH = "<script>window.failures = []; window.onerror = (m) => window.failures.push(m);</script>"


def look(page, tmp_path, width):
    copy = tmp_path / f"copy-{width}.html"
    copy.write_text(page.replace("<style>", WATCH + "<style>", 1).replace("</body>", ACTIONS + "</body>"))
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
    flags += [f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},1000", "--virtual-time-budget=5000"]
    command = [BROWSER, *flags, "--dump-dom", copy.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    return json.loads(html.unescape(re.search(r'<pre id="found">(.*?)</pre>', dom, re.DOTALL)[1]))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    reason = "<img src=x onerror='window.injected = 1'>"
    results = fail(make_results(), "svwv", "uint8-03L", reason)
    return write_report(make_run(tmp_path_factory.mktemp("run"), results)).read_text()


@pytest.mark.parametrize("width", [1280, 500])
def test_the_page_works(page, tmp_path, width):
    found = look(page, tmp_path, width)
    assert found["errors"] == []
    assert found["requests"] == []
    assert found["injected"] == "undefined"
    assert found["first"][:3] == ["mv", "svwv", "jlf"]
    assert found["falling"] == sorted(found["falling"], reverse=True)
    assert found["rising"] == found["falling"][::-1]
    assert (found["filtered"], found["unfiltered"]) == (8, 16)
    assert found["plain"] == ["jlf", "svwv", "mv", "oracle 10%", "mean single candidate"]
    assert found["enlarged"]
    assert found["closed"]
    assert found["overflow"] <= 0
