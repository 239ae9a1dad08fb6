# What the package takes of Buildroot, in few words. packages/check reads it, nothing else.
#
#   make -f package.mk MK=adieu.mk TARGET
#
#   options    the options that cargo is told, from BR2_PACKAGE_*
#   version    what it says that it is
#   install    the files of the package, beneath TARGET_DIR; S is the source, with the program in
#              target/TRIPLE/release

UPPERCASE=$(shell echo $(1) | tr a-z- A-Z_)
INSTALL:=install
RUSTC_TARGET_NAME:=triple
ADIEU_PKGDIR:=$(dir $(MK))

define cargo-package
options:
	@echo '$$(ADIEU_CARGO_BUILD_OPTS)'
version:
	@echo $$(ADIEU_VERSION)
# In Buildroot $(@D) is the source, for its targets are files there.
$(S)/install:
	$$(ADIEU_INSTALL_TARGET_CMDS)
	$$(foreach hook,$$(ADIEU_POST_INSTALL_TARGET_HOOKS),$$($$(hook)))
	$$(ADIEU_INSTALL_INIT_SYSTEMD)
	$$(ADIEU_INSTALL_INIT_SYSV)
	$$(ADIEU_INSTALL_INIT_OPENRC)
endef

include $(MK)
