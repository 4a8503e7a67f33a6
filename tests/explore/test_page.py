"""The page in a real browser, as a person uses it."""

import base64

import pytest

from browser import open_browser, watch

DROP = """([base64, name]) => {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const data = new DataTransfer();
  if (base64) data.items.add(new File([bytes], name, { type: "image/png" }));
  const event = KIND;
  document.getElementById("drop").dispatchEvent(event);
}"""
DROPPED = DROP.replace("KIND", 'new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })')
PASTED = DROP.replace("KIND", 'new ClipboardEvent("paste", { clipboardData: data, bubbles: true })')


@pytest.fixture(scope="module")
def chromium():
    with open_browser() as browser:
        yield browser


@pytest.fixture
def opened(chromium, server):
    """The page, which in the end must not have complained."""
    page = chromium.new_page()
    page.set_default_timeout(15_000)
    complaints = watch(page, f"127.0.0.1:{server.server_port}", expected=("400 (Bad Request)", "net::ERR_FAILED"))
    page.goto(server.url)
    page.wait_for_selector("#labels:not([hidden])")
    yield page
    page.close()
    assert not complaints, complaints


def give(page, script, content, name="my picture.png"):
    page.evaluate(script, [base64.b64encode(content).decode(), name])


def settle(page, summary):
    """Wait until the summary begins so, and give the bars: by level, labels with percent as shown."""
    page.wait_for_function("text => document.getElementById('summary').textContent.startsWith(text)", arg=summary)
    page.wait_for_selector("#results[aria-busy=false]")
    return page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll(".level")].map((level) => [
          level.querySelector("h3").textContent.split(" ")[0].toLowerCase(),
          [...level.querySelectorAll("li")].map((line) => [
            line.firstElementChild.textContent, line.querySelector(".number").lastChild.textContent]),
        ]))"""
    )


def shown(levels):
    """Predictions as the page shows them."""
    return {
        level: [[entry["label"], f"{100 * entry['probability']:.1f}\u00a0%"] for entry in predictions]
        for level, predictions in levels.items()
    }


def without(server, runs, *sides):
    levels = server.explorer.answer(runs.picture.read_bytes(), sides)["levels"]
    return shown({level: found["predictions"] for level, found in levels.items()})


def pixels(page, selector):
    return page.eval_on_selector_all(selector, "found => found.map((canvas) => canvas.toDataURL())")


def test_it_names_the_run_and_waits(opened, runs):
    header = opened.inner_text("header")
    assert "quickstart: 40 kinds of 8 shapes" in header
    assert runs.bilateral.name in header and "resnet9" in header
    assert opened.locator("#switches legend").all_inner_texts() == ["Hemispheres"] and opened.is_hidden("#weights")
    assert "waits for a picture" in opened.inner_text("#summary") and opened.is_hidden("#looks")


@pytest.mark.parametrize("way", ["chosen", "dropped", "pasted"])
def test_a_picture_gets_what_predict_says(opened, runs, way):
    if way == "chosen":
        opened.set_input_files("#file", runs.picture)
    else:
        give(opened, DROPPED if way == "dropped" else PASTED, runs.picture.read_bytes())
    best = runs.predicted["fine"][0]
    assert settle(opened, f"Fine: {best['label']}") == shown(runs.predicted)
    assert opened.inner_text("#name") == "my picture.png"


def test_a_sample_picture_is_one_click_away(opened):
    button = opened.locator("#samples button").nth(2)
    name = button.get_attribute("title")
    button.click()
    settle(opened, "Fine: ")
    assert opened.inner_text("#name") == name


def test_on_a_phone_a_new_picture_brings_its_answer_into_view(opened):
    opened.set_viewport_size({"width": 390, "height": 844})
    top = "document.getElementById('results').getBoundingClientRect().top"
    opened.locator("#samples button").first.click()
    opened.wait_for_selector("#looks:not([hidden])")
    opened.wait_for_function(f"{top} < innerHeight / 2")
    # A switch leaves the page where it is.
    opened.evaluate("scrollTo(0, 0)")
    opened.evaluate("document.getElementsByName('left')[0].click()")
    settle(opened, "Without left")
    assert opened.evaluate("scrollY") == 0


def test_without_the_data_set_the_page_says_how_test_images_come(opened):
    assert not opened.is_visible("#no-samples")
    opened.route("**/samples", lambda route: route.fulfill(json=[]))
    opened.reload()
    opened.wait_for_selector("#no-samples:not([hidden])")
    assert "data.root=FOLDER" in opened.inner_text("#no-samples") and not opened.is_visible("#samples")


def test_switching_a_hemisphere_off_changes_the_numbers_and_back(opened, runs, server):
    opened.set_input_files("#file", runs.picture)
    intact = settle(opened, "Fine: ")
    left, right = (opened.get_by_role("switch", name=name) for name in ("Left", "Right"))
    left.focus()
    opened.keyboard.press("Space")
    silent = settle(opened, "Without left, fine: ")
    assert silent == without(server, runs, "left") != intact
    assert "left 0.0\u00a0%" in opened.inner_text("#predictions") and "→" in opened.inner_text("#predictions")
    assert "off: gives nothing" in opened.inner_text("#maps")
    right.uncheck()
    assert settle(opened, "Without left and right, fine: ") == without(server, runs, "left", "right")
    assert "bias alone" in opened.inner_text("#predictions")
    left.check()
    assert settle(opened, "Without right, fine: ") == without(server, runs, "right")
    right.check()
    assert settle(opened, "Fine: ") == intact
    assert opened.is_hidden("#marks") and "→" not in opened.inner_text("#predictions")


def test_bridges_parts_and_lesions_have_switches_and_the_weights_a_bar(chromium, bridged_server, runs):
    page = chromium.new_page()
    page.set_default_timeout(15_000)
    complaints = watch(page, f"127.0.0.1:{bridged_server.server_port}")
    page.goto(bridged_server.url)
    page.wait_for_selector("#labels:not([hidden])")
    assert page.locator("#switches legend").all_inner_texts() == ["Hemispheres", "Bridges", "Parts", "Lesions"]
    names = ["Left", "Right", "callosum", "callosum.to_left", "callosum.to_right", "late", "left.few", "loss", "shake"]
    assert page.locator("#switches label span").all_inner_texts() == names
    page.set_input_files("#file", runs.picture)
    intact = settle(page, "Fine: ")
    weights = bridged_server.explorer.answer(runs.picture.read_bytes())["weights"]
    assert f"left {100 * weights['left']:.1f}\u00a0%" in page.inner_text("#weights")
    said = {"callosum.to_right": "callosum.to_right", "left.few": "left.few", "loss": "the lesion loss"}
    for name, told in said.items():
        switch = page.get_by_role("switch", name=name, exact=True)
        switch.uncheck()
        asked = f"lesions.{name}" if name == "loss" else name
        assert settle(page, f"Without {told}, fine: ") == without(bridged_server, runs, asked) != intact
        switch.check()
        assert settle(page, "Fine: ") == intact
    page.close()
    assert not complaints, complaints


def test_heads_that_disagree_are_told(opened, runs, server):
    fine = runs.predicted["fine"][0]["label"]
    assert "two heads" not in fine
    bias = server.explorer.network.heads["coarse"][-1].bias
    told = []
    for name, coarse in zip(("disc", "ring"), bias):
        coarse += 1e4
        opened.set_input_files("#file", runs.picture)
        settle(opened, f"Fine: {fine}")
        opened.wait_for_function("name => document.getElementById('summary').textContent.includes(name)", arg=name)
        told.append("The two heads disagree: this fine label belongs to" in opened.inner_text("#summary"))
        coarse -= 1e4
    assert any(told) and "not how often it is right" in opened.inner_text("#sure")


def test_maps_follow_the_head_and_the_opacity(opened, runs):
    opened.set_input_files("#file", runs.picture)
    settle(opened, "Fine: ")
    fine = pixels(opened, "#maps canvas")
    assert len(fine) == 2 and fine[0] != fine[1]
    opened.get_by_label("coarse", exact=True).check()
    assert not set(pixels(opened, "#maps canvas")) & set(fine)
    opened.get_by_label("both, one map").check()
    assert len(pixels(opened, "#maps canvas")) == 1
    opened.get_by_label("fine", exact=True).check()
    assert pixels(opened, "#maps canvas") == fine
    opened.locator("#opacity").fill("0")
    bare = pixels(opened, "#maps canvas")
    # Without the maps both show the picture alone.
    assert bare[0] == bare[1] != fine[0]


def test_what_is_no_picture_gives_a_message_and_the_page_goes_on(opened, runs):
    opened.set_input_files("#file", {"name": "notes.png", "mimeType": "image/png", "buffer": b"some text"})
    opened.wait_for_selector("#message:not([hidden])")
    assert "Cannot read image notes.png: its content is none of PNG" in opened.inner_text("#message")
    give(opened, DROPPED, b"")
    assert "That was no file" in opened.inner_text("#message")
    opened.evaluate(DROPPED.replace("[bytes]", "[new Uint8Array(21 * 2 ** 20)]"), ["AAAA", "huge.png"])
    opened.wait_for_function(
        "() => document.getElementById('message').textContent.startsWith('The file huge.png has 21 MB')"
    )
    opened.set_input_files("#file", runs.picture)
    assert settle(opened, "Fine: ") == shown(runs.predicted)
    assert opened.is_hidden("#message")
    opened.set_input_files("#file", {"name": "notes.png", "mimeType": "image/png", "buffer": b"some text"})
    opened.wait_for_selector("#message:not([hidden])")
    assert opened.inner_text("#message").endswith("What stands here is still of my picture.png.")


def test_answers_that_come_late_are_not_shown(opened, runs, server):
    """A quick hand on the switches, and a server that is slow to answer what is no longer asked."""
    opened.set_input_files("#file", runs.picture)
    settle(opened, "Fine: ")
    opened.evaluate(
        """() => {
          const ask = window.fetch;
          window.late = 0;
          window.fetch = async (address, { signal, ...options }) => {
            const answer = await ask(address, options);
            if (address.includes("silenced=left")) await new Promise((done) => setTimeout(done, 300));
            setTimeout(() => window.late++, 50);
            return answer;
          };
          for (const name of ["left", "right", "left"]) document.getElementsByName(name)[0].click();
        }"""
    )
    opened.wait_for_function("() => window.late === 3")
    assert settle(opened, "Without right, fine: ") == without(server, runs, "right")


def test_a_server_that_has_gone_is_told(opened, runs):
    opened.route("**/answer*", lambda route: route.abort())
    give(opened, PASTED, runs.picture.read_bytes())
    opened.wait_for_selector("#message:not([hidden])")
    assert "Is it still running?" in opened.inner_text("#message")


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("which", [pytest.param("server", marks=pytest.mark.slow), "bridged_server"])
def test_everybody_can_use_it(chromium, request, runs, scheme, width, which):
    server = request.getfixturevalue(which)
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = chromium.new_page(color_scheme=scheme, viewport={"width": width, "height": 800})
    page.goto(server.url)
    page.wait_for_selector("#labels:not([hidden])")
    page.set_input_files("#file", {"name": "notes.png", "mimeType": "image/png", "buffer": b"some text"})
    page.wait_for_selector("#message:not([hidden])")
    assert axe.run(page).response["violations"] == []
    page.set_input_files("#file", runs.picture)
    settle(page, "Fine: ")
    page.locator("summary").click()
    page.get_by_role("switch", name="Left", exact=True).uncheck()
    settle(page, "Without left")
    page.wait_for_timeout(400)  # until nothing fades any more
    assert axe.run(page).response["violations"] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    tops = [page.locator(place).bounding_box()["y"] for place in ("#seen", "#switches", "#results")]
    assert tops == sorted(tops) if width == 360 else tops[2] < tops[0], "on a phone what changes is below its switch"
    page.close()
