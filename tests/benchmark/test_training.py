from bilateral.benchmark import training
from bilateral.benchmark.flops import training_flops


def test_rates_are_of_the_median_and_the_fastest_epoch(small, monkeypatch, recorded):
    monkeypatch.setattr(training, "train", recorded)
    measured = training.measure_training(small, 100)
    flops = training_flops(small.model)
    assert measured == {
        "training_median_images_per_s": 50,
        "training_fastest_images_per_s": 100,
        "training_per_image_flops": flops,
        "training_median_flops_per_s": 50 * flops,
        "training_fastest_flops_per_s": 100 * flops,
    }
    (job,) = recorded.jobs
    assert not job.network.frozen and len(job.train) == 100


def test_a_real_training(small):
    measured = training.measure_training(small, 100, epochs=2)
    assert 10 < measured["training_median_images_per_s"] <= measured["training_fastest_images_per_s"]
