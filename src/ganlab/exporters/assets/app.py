"""The generator in this folder in a browser: `python app.py`, or a Space of the Hugging Face Hub."""

import math
import tempfile
from typing import Any

import gradio as gr
import torch
from generator import Generator
from PIL import Image

generator = Generator()
about = generator.about
classes = about["num_classes"] if "label" in about["inputs"] else 0
names = about["class_names"] or [str(number) for number in range(classes)]
choices = [(name, label) for label, name in enumerate(names)] or [("", 0)]  # hidden where there are no classes
NO_TRUNCATION, ALL, LAST_SEED = 3.0, -1, 2**32 - 1
in_w, in_z = "psi" in about["inputs"], about["noise"] is None and about["truncation"] is None
scale = max(1, 96 // min(about["image_shape"][1:]))  # small images are enlarged by whole pixels


def pixels(images: torch.Tensor) -> list[Image.Image]:
    """Return pictures of images in [-1, 1]."""
    found = images.add(1).mul(127.5).round().clamp(0, 255).byte()
    found = found.repeat_interleave(scale, 2).repeat_interleave(scale, 3).permute(0, 2, 3, 1).contiguous()
    return [Image.fromarray(one[:, :, 0].numpy() if one.shape[2] == 1 else one.numpy()) for one in found]


def row(pictures: list[Image.Image], columns: int) -> Image.Image:
    """Put pictures side by side on white."""
    width, height = pictures[0].size
    lines = math.ceil(len(pictures) / columns)
    canvas = Image.new("RGB", (columns * (width + 4) + 4, lines * (height + 4) + 4), "white")
    for i, picture in enumerate(pictures):
        canvas.paste(picture, (4 + i % columns * (width + 4), 4 + i // columns * (height + 4)))
    return canvas


def truncated(amount: float) -> dict[str, float]:
    """Return the options that the slider sets."""
    if in_w:
        return {"psi": amount, "truncation": math.inf}
    return {"psi": 1.0, "truncation": amount if in_z and amount < NO_TRUNCATION else math.inf}


def sample(seed: float, label: int, count: float, amount: float) -> Image.Image:
    """Draw images of a seed, of one class or of all in turn."""
    number = int(count)
    labels = [i % max(1, classes) for i in range(number)] if label == ALL else label
    return row(pixels(generator.sample(number, labels, int(seed), **truncated(amount))), min(5, number))


def walk(start: float, end: float, first: int, last: int, amount: float) -> tuple[str, Any]:
    """Go from the first image of a seed to that of another one, on the arc between their latents."""
    options, steps = truncated(amount), 24
    z = [generator.latents(1, int(seed), options["truncation"]).double() for seed in (start, end)]
    t = torch.linspace(0, 1, steps, dtype=torch.float64)[:, None]
    angle = torch.acos(torch.nn.functional.cosine_similarity(*z).clamp(-1, 1)).clamp_min(1e-6)
    path = ((torch.sin((1 - t) * angle) * z[0] + torch.sin(t * angle) * z[1]) / torch.sin(angle)).float()
    labels = [first] * (steps // 2) + [last] * (steps // 2)  # changes half way: graphs take whole classes
    frames = pixels(generator.images(path, labels, options["psi"]))
    with tempfile.NamedTemporaryFile(suffix=".webp", delete=False) as file:
        times = max(1, 320 // max(frames[0].size))
        large = [f.resize((times * f.width, times * f.height), Image.Resampling.NEAREST) for f in frames]
        there_and_back = [*large, *large[-2:0:-1]]
        there_and_back[0].save(
            file, "WEBP", save_all=True, append_images=there_and_back[1:], duration=80, loop=0, lossless=True
        )
    return file.name, row(frames[::3] + frames[-1:], 9)


def controls() -> dict[str, Any]:
    """Make the slider of truncation, which is hidden where it is fixed."""
    if in_w:
        return {"minimum": 0.0, "maximum": 1.5, "value": 1.0, "step": 0.05, "label": "truncation psi (1: none)"}
    label = f"truncation: largest |z| ({NO_TRUNCATION:g}: none)"
    return {"minimum": 0.1, "maximum": NO_TRUNCATION, "value": NO_TRUNCATION, "step": 0.1, "label": label,
            "visible": in_z}  # fmt: skip


with gr.Blocks(title=about["name"]) as demo:
    shape = " × ".join(map(str, about["image_shape"][1:]))
    gr.Markdown(f"## {about['name']}\n`{about['generator']['component']}`, {shape} pixels, made with ganlab")
    amount = gr.Slider(**controls())
    with gr.Tab("Images"):
        with gr.Row():
            seed = gr.Number(0, label="seed", precision=0, minimum=0, maximum=LAST_SEED)
            label = gr.Dropdown([("all, in turn", ALL), *choices], value=ALL, label="class", visible=bool(classes))
            count = gr.Slider(1, 25, 10, step=1, label="images")
        another = gr.Button("another seed", variant="primary")
        images = gr.Image(label="images", show_label=False, type="pil", format="png", interactive=False)
        given: list[Any] = [seed, label, count, amount]
        for part in given:
            part.change(sample, given, images, show_progress="hidden")
        another.click(lambda seed: (int(seed) + 1) % (LAST_SEED + 1), seed, seed)
        demo.load(sample, given, images)
    with gr.Tab("From one to another"):
        with gr.Row():
            start = gr.Number(0, label="from seed", precision=0, minimum=0, maximum=LAST_SEED)
            end = gr.Number(1, label="to seed", precision=0, minimum=0, maximum=LAST_SEED)
            first = gr.Dropdown(choices, value=0, label="from class", visible=bool(classes))
            last = gr.Dropdown(choices, value=max(0, classes - 1), label="to class", visible=bool(classes))
        go = gr.Button("go", variant="primary")
        film = gr.Image(label="moving picture", show_label=False, type="filepath", format="webp", interactive=False)
        strip = gr.Image(label="steps", show_label=False, type="pil", format="png", interactive=False)
        go.click(walk, [start, end, first, last, amount], [film, strip])

if __name__ == "__main__":
    demo.launch()
