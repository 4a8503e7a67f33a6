"""Take the pictures of the docs: a report's first screen, and `bilateral explore` with a sample picture.

    python scripts/take_screenshots.py REPORT.html RUN

Needs playwright (of the extra `dev`) and Chromium at /usr/bin/chromium.
"""

import re
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

TARGET = Path(__file__).parents[1] / "docs" / "pictures"
FLAGS = ["--no-sandbox", "--disable-gpu"]


def main(report: str, run: str) -> None:
    """Write docs/pictures/report.png and explore.png."""
    command = [sys.executable, "-m", "bilateral", "explore", run, "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        address = re.search(r"http://\S+", server.stdout.readline())
        assert address
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(Path(report).resolve().as_uri())
            page.screenshot(path=TARGET / "report.png")
            _explore(page, address[0])
            browser.close()
    finally:
        server.terminate()


def _explore(page: Page, address: str) -> None:
    page.set_viewport_size({"width": 1200, "height": 900})
    page.goto(address)
    page.locator("#samples button").nth(2).click()
    page.locator("#looks").wait_for()
    page.wait_for_timeout(500)
    page.screenshot(path=TARGET / "explore.png", full_page=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
