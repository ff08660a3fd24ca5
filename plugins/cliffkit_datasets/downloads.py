"""Where data sets can be downloaded, with their authors' terms."""

from cliffkit.hookspecs import Download, RemoteFile

_SERVER = "https://horatio.cs.nyu.edu/mit/silberman"

NYU = Download(
    dataset="nyu",
    title="NYU-Depth V2, the 1,449 labelled images, and the official split",
    page="https://cs.nyu.edu/~fergus/datasets/nyu_depth_v2.html",
    terms="The authors' page decides about use; no licence is known to us, and the data are used for research. "
    "Cite: N. Silberman, D. Hoiem, P. Kohli, R. Fergus, Indoor Segmentation and Support Inference from RGBD Images, "
    "ECCV 2012.",
    files=(
        RemoteFile(
            "nyu_depth_v2_labeled.mat",
            f"{_SERVER}/nyu_depth_v2/nyu_depth_v2_labeled.mat",
            2_972_037_809,
            "2d724b0c0ab358aa1ce5df855e5bd14a2279ab7202efe22f32a30d612dcb86aa",
        ),
        RemoteFile(
            "splits.mat",
            f"{_SERVER}/indoor_seg_sup/splits.mat",
            2_626,
            "6e081404491a8bfba2f066beaa9713ef6046f9007aa5f799f2a350506a580cee",
        ),
    ),
)
"""Sizes and checksums: several public repositories, written independently of each other, record the same for files from
these addresses. The authors publish none."""
