"""Plans, preprocesses and trains nnU-Net on one fold; what is done already is not done again."""

import json
import logging
import shutil
from typing import Any

from dlfbench.files import is_intact
from dlfbench.networks.surroundings import environment
from dlfbench.segmenters.interface import Context, Training
from dlfbench.segmenters.sides import left_may_be_right
from dlfbench_baselines.nnunet.dataset import FOLD, NAME, Workplace, write_dataset
from dlfbench_baselines.nnunet.settings import PLANS, Plan
from dlfbench_baselines.nnunet.surroundings import surroundings, threads_for_processes

log = logging.getLogger(__name__)

# drawn for percentiles of the foreground; nnU-Net's own 10 times as many take seconds and a gigabyte, however small the
# images are, and say the same
_INTENSITIES = 10**7


def fit_model(training: Training, plan: Plan, context: Context) -> None:
    """Leaves a trained model in the context's folder, as nnU-Net would.

    Raises:
        RuntimeError: nnU-Net plans no such configuration for these images, or training failed.
    """
    workplace = Workplace(context.folder)
    if is_intact(workplace.checkpoint(plan)):
        return
    with surroundings(workplace.variables, context):
        if not workplace.ready:
            workplace.clear()
            _prepare(training, workplace, plan, context)
            workplace.set_ready()
        _train(training, workplace, plan, context)
    shutil.rmtree(workplace.preprocessed)  # the largest part, and of no use from here on


def _prepare(training: Training, workplace: Workplace, plan: Plan, context: Context) -> None:
    context.progress(0.0, "nnU-Net: fingerprint and plan")
    write_dataset(training, workplace.raw)

    from nnunetv2.experiment_planning.dataset_fingerprint import fingerprint_extractor
    from nnunetv2.preprocessing.preprocessors import default_preprocessor
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    with threads_for_processes(fingerprint_extractor, default_preprocessor):
        extractor = fingerprint_extractor.DatasetFingerprintExtractor(NAME, context.threads)
        extractor.show_progress_bar = False
        extractor.num_foreground_voxels_for_intensitystats = _INTENSITIES
        extractor.run(overwrite_existing=True)
        planner = _planner(plan)(NAME)
        planner.UNet_base_num_features //= 4 if plan.budget.small else 1
        planner.plan_experiment()
        plans = PlansManager(str(workplace.preprocessed / f"{PLANS[plan.planner]}.json"))
        _check_configuration(plan, list(plans.available_configurations))
        context.progress(0.0, f"nnU-Net: preprocessing {len(training.cases)} cases")
        preprocessor = plans.get_configuration(plan.configuration).preprocessor_class(verbose=False)
        preprocessor.show_progress_bar = False
        preprocessor.run(NAME, plan.configuration, PLANS[plan.planner], num_processes=context.threads)


def _planner(plan: Plan) -> Any:
    from nnunetv2.experiment_planning.experiment_planners import default_experiment_planner
    from nnunetv2.experiment_planning.experiment_planners.residual_unets import residual_encoder_unet_planners

    return {
        "default": default_experiment_planner.ExperimentPlanner,
        "resenc-m": residual_encoder_unet_planners.nnUNetPlannerResEncM,
        "resenc-l": residual_encoder_unet_planners.nnUNetPlannerResEncL,
        "resenc-xl": residual_encoder_unet_planners.nnUNetPlannerResEncXL,
    }[plan.planner]


def _check_configuration(plan: Plan, planned: list[str]) -> None:
    if plan.configuration not in planned:
        possible = ", ".join(name for name in planned if "cascade" not in name)
        raise RuntimeError(
            f"nnU-Net plans no {plan.configuration} for these images; set configuration to one of: {possible}"
        )


def _train(training: Training, workplace: Workplace, plan: Plan, context: Context) -> None:
    from dlfbench_baselines.nnunet.training import make_trainer

    # loaders in processes of their own only where the network is not what takes long
    loaders = str(context.threads) if context.device.startswith("cuda") else "0"
    latest = workplace.checkpoint(plan, "latest")
    with environment({"nnUNet_n_proc_DA": loaders}):
        plans = json.loads((workplace.preprocessed / f"{PLANS[plan.planner]}.json").read_text())
        header = json.loads((workplace.preprocessed / "dataset.json").read_text())
        trainer = make_trainer(plans, header, FOLD, plan, context, mirrors=left_may_be_right(training))
        if is_intact(latest):
            trainer.load_checkpoint(str(latest))
            log.info("goes on after epoch %d", trainer.current_epoch)
        try:
            trainer.run_training()
        finally:
            trainer.end_loaders()
